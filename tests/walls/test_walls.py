"""What nobody in the tree may use, beside the contracts in .importlinter (design, rooms and rules)."""

import ast

import pytest

from tests.checkout import ROOT
from tests.walls.sources import PRODUCT, arguments, calls, dotted, imports, modules, words

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
        "asyncio": ("Lock", "Condition", "Semaphore"),
    }.items()
    for name in names
}
SLEEPS = {"time.sleep", "trio.sleep", "asyncio.sleep"}
VIRTUAL = {"MockClock", "autojump_clock"}
"""Names under which a test gets trio's virtual clock."""
DEATH_SIGNAL = "PR_SET_" + "PDEATHSIG"
"""Tied to the thread that spawns, so a child dies with a cached thread; written in two parts to find it elsewhere."""


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
        found[path] = (SLEEPS - {"trio.sleep"} if is_virtual else SLEEPS) & set(dotted(tree))
    assert offences(found) == {}


def test_no_parent_death_signal() -> None:
    """EOF on the control socket ends a runner; the signal kills it when a cached thread ends (measured)."""
    found = {path: {word for word in words(tree) if DEATH_SIGNAL in word} for path, tree in modules(*PRODUCT)}
    assert offences(found) == {}


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
        ("def f():\n    from time import sleep", "time.sleep"),
    ],
)
def test_these_checks_see_imports_and_attributes(source: str, name: str) -> None:
    assert name in set(dotted(ast.parse(source)))
