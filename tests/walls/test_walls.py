"""What nobody in the tree may use, beside the contracts in .importlinter (design, rooms and rules)."""

import ast
import re

import pytest

from tests.checkout import ROOT
from tests.walls.sources import PRODUCT, arguments, calls, comments, dotted, imports, modules, words

PURE = {
    "abc",
    "bisect",
    "collections",
    "dataclasses",
    "enum",
    "fractions",
    "functools",
    "heapq",
    "itertools",
    "math",
    "msgspec",
    "operator",
    "statemachines",
    "struct",
    "types",
    "typing",
}
"""What `statemachines` may import: data types and pure functions. No clock, no I/O, no randomness."""
ONE_MODULE = {"transitions": "statemachines/table.py", "numpy": "statemachines/memory.py"}
LOCKS = {
    f"{module}.{name}"
    for module, names in {
        "threading": ("Lock", "RLock", "Condition", "Semaphore", "BoundedSemaphore", "Barrier"),
        "trio": ("Lock", "StrictFIFOLock", "Condition", "Semaphore"),
        "multiprocessing": ("Lock", "RLock", "Condition", "Semaphore"),
        "multiprocessing.synchronize": ("Lock", "RLock", "Condition", "Semaphore"),
        "asyncio": ("Lock", "Condition", "Semaphore"),
    }.items()
    for name in names
}
TRIO_SLEEPS = {"trio.sleep", "trio.sleep_until"}
"""Not `trio.sleep_forever`: that waits for a cancellation, and never for time."""
SLEEPS = TRIO_SLEEPS | {"time.sleep", "asyncio.sleep"}
VIRTUAL = {"MockClock", "autojump_clock"}
"""Names under which a test gets trio's virtual clock."""
DEATH_SIGNAL = "PR_SET_" + "PDEATHSIG"
"""Tied to the thread that spawns, so a child dies with a cached thread; written in two parts to find it elsewhere."""

IGNORE = re.compile(r"type: *ignore|noqa", re.IGNORECASE)
REASONED = re.compile(r"# (type: ignore\[[^\]]+\]  #|noqa: [A-Z0-9, ]+ -) \w.*")
"""Which finding is ignored, and why, in words."""


def offences(found: dict[str, set[str]]) -> dict[str, set[str]]:
    return {path: names for path, names in found.items() if names}


def test_statemachines_import_only_data_types_and_pure_functions() -> None:
    found = {}
    for path, tree in modules("statemachines"):
        allowed = PURE | {name for name, home in ONE_MODULE.items() if home == path}
        found[path] = {name.split(".")[0] for name in imports(tree)} - allowed
    assert offences(found) == {}


def test_statemachines_neither_print_nor_open_nor_depend_on_addresses() -> None:
    """`hash` and `id` differ between runs: an order that rests on them cannot be replayed."""
    forbidden = {"hash", "id", "open", "print", "input", "exec", "eval", "__import__"}
    assert offences({path: forbidden & set(calls(tree)) for path, tree in modules("statemachines")}) == {}


def test_no_locks_anywhere() -> None:
    assert offences({path: LOCKS & set(dotted(tree)) for path, tree in modules(*PRODUCT)}) == {}


def test_the_product_never_sleeps() -> None:
    """A pause is a deadline in the core, or a wait for something that happens."""
    assert offences({path: SLEEPS & set(dotted(tree)) for path, tree in modules(*PRODUCT, "tools")}) == {}


def test_tests_sleep_in_virtual_time_only() -> None:
    found = {}
    for path, tree in modules("tests"):
        is_virtual = not VIRTUAL.isdisjoint({*words(tree), *(arg.arg for arg in arguments(tree))})
        found[path] = (SLEEPS - TRIO_SLEEPS if is_virtual else SLEEPS) & set(dotted(tree))
    assert offences(found) == {}


def test_no_parent_death_signal() -> None:
    """EOF on the control socket ends a runner; the signal kills it when a cached thread ends (measured)."""
    found = {path: {word for word in words(tree) if DEATH_SIGNAL in word} for path, tree in modules(*PRODUCT)}
    assert offences(found) == {}


def unexplained(source: str) -> set[str]:
    return {comment for comment in comments(source) if IGNORE.search(comment) and not REASONED.fullmatch(comment)}


def test_every_ignore_gives_its_reason() -> None:
    found = {}
    for folder in (*PRODUCT, "tests", "tools", "benchmarks"):
        for path in sorted((ROOT / folder).rglob("*.py")):
            found[path.relative_to(ROOT).as_posix()] = unexplained(path.read_text(encoding="utf-8"))
    assert offences(found) == {}


@pytest.mark.parametrize(
    "comment",
    [
        "# type: ignore",
        "# type: ignore[arg-type]",
        "# type: ignore  # any type",
        "# type: ignore[arg-type]  #",
        "# noqa",
        "# NOQA: E501",
        "# noqa: E501, RUF012",
        "# noqa - long",
    ],
)
def test_an_ignore_without_code_or_reason_is_refused(comment: str) -> None:
    assert unexplained(f"x = 1  {comment}\n") == {comment}


@pytest.mark.parametrize("line", ["# type: ignore[a-b, c]  # it fits", "# noqa: E501, B1 - a table", "'# noqa'"])
def test_an_ignore_with_code_and_reason_is_accepted(line: str) -> None:
    assert unexplained(f"x = 1  {line}\n" if line.startswith("#") else f"x = {line}\n") == set()


def test_the_core_is_covered_without_pragmas() -> None:
    texts = {path: path.read_text(encoding="utf-8") for path in (ROOT / "statemachines").rglob("*.py")}
    assert [path.name for path, text in texts.items() if "pragma: no" in text] == []


@pytest.mark.parametrize("folder", PRODUCT)
def test_the_three_packages_begin_empty(folder: str) -> None:
    trees = dict(modules(folder))
    assert trees[f"{folder}/__init__.py"].body == []


@pytest.mark.parametrize(
    ("source", "name"),
    [
        ("from threading import Lock", "threading.Lock"),
        ("import threading\nthreading.RLock()", "threading.RLock"),
        ("import trio\nasync def f():\n    await trio.sleep(0)", "trio.sleep"),
        ("async def f():\n    await trio.sleep_until(0)", "trio.sleep_until"),
        ("def f():\n    from time import sleep", "time.sleep"),
        ("import threading as t\nt.Lock()", "threading.Lock"),
        ("async def f():\n    import trio as t\n    await t.sleep(0)", "trio.sleep"),
        ("from time import sleep as nap\nnap(1)", "time.sleep"),
        ("import os.path as p\np.join()", "os.path.join"),
        ("from multiprocessing import synchronize as s\ns.Lock()", "multiprocessing.synchronize.Lock"),
    ],
)
def test_these_checks_see_imports_aliases_and_attributes(source: str, name: str) -> None:
    assert name in set(dotted(ast.parse(source)))
