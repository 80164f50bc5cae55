"""The behaviours of docs/reference/behaviours.md with the tests that show them: `pytest --behaviours`.

A test shows the behaviours whose numbers its name begins with: `test_b06_b12_...` is one of B06's and one of B12's.
"""

import re
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import pytest

from tests.checkout import ROOT

PAGE = ROOT / "docs" / "reference" / "behaviours.md"
_ROW = re.compile(r"^\| (B\d\d) \| (.+) \| (claimed|later)(?:; (.+))? \|$", re.MULTILINE)
_NUMBERS = re.compile(r"test((?:_b\d\d)+)(?![0-9a-z])")
_WORST_FIRST = ("failed", "skipped", "passed")

Outcomes = Mapping[str, str]
"""How each case of a test ended (`passed`, `failed`, `skipped`), by its node id."""


@dataclass(frozen=True)
class Behaviour:
    """One row of the page.

    Attributes:
        remark: what of a claimed one is still to come.
    """

    id: str
    promise: str
    is_claimed: bool
    remark: str


def read_page(text: str) -> dict[str, Behaviour]:
    """The rows of the page by id."""
    rows = (Behaviour(id, promise, state == "claimed", remark) for id, promise, state, remark in _ROW.findall(text))
    return {row.id: row for row in rows}


def shown_by(test: str) -> list[str]:
    """Ids of the behaviours that a test of this name shows."""
    numbers = _NUMBERS.match(test)
    return [number.upper() for number in numbers[1].split("_")[1:]] if numbers else []


def by_behaviour(outcomes: Outcomes) -> dict[str, dict[str, Counter[str]]]:
    """Outcomes of the cases of each test, by behaviour and test."""
    found: dict[str, dict[str, Counter[str]]] = {}
    for node, outcome in sorted(outcomes.items()):
        test = node.partition("[")[0]
        for id in shown_by(test.rpartition("::")[2]):
            found.setdefault(id, {}).setdefault(test, Counter())[outcome] += 1
    return found


def result(tests: Mapping[str, Counter[str]]) -> str:
    """What these tests say of their behaviour: one failure counts more than anything, a skipped test for nothing."""
    total: Counter[str] = sum(tests.values(), Counter())
    return next((word for word in ("failed", "passed", "skipped") if total[word]), "no test")


def faults(page: Mapping[str, Behaviour], outcomes: Outcomes) -> list[str]:
    """What makes the report a failure, a sentence each."""
    found = by_behaviour(outcomes)
    results = {row.id: result(found.get(row.id, {})) for row in page.values() if row.is_claimed}
    return [
        *(f"{id} is claimed: {word}" for id, word in results.items() if word != "passed"),
        *(f"{id} is not on the page: {', '.join(found[id])}" for id in sorted(found.keys() - page.keys())),
    ]


def report(page: Mapping[str, Behaviour], outcomes: Outcomes) -> Iterator[str]:
    """The lines of the report: each behaviour with its result, below it its tests with the number of their cases."""
    found = by_behaviour(outcomes)
    for id in sorted({*page, *found}):
        row, tests = page.get(id), found.get(id, {})
        state = "unknown" if row is None else "claimed" if row.is_claimed else "later"
        remark = f" ({row.remark})" if row and row.remark else ""
        left_out = sum(cases["skipped"] for cases in tests.values())
        skipped = f", {left_out} skipped here" if left_out and result(tests) == "passed" else ""
        yield f"{id}  {state:8} {result(tests)}{skipped}{remark}"
        for test, cases in tests.items():
            yield f"     {test}: " + ", ".join(f"{cases[word]} {word}" for word in _WORST_FIRST if cases[word])


class Reporter:
    """Runs only tests that show a behaviour, and ends the run with the report."""

    def __init__(self, page: Mapping[str, Behaviour]) -> None:
        self._page = page
        self._outcomes: dict[str, str] = {}

    def pytest_collection_modifyitems(self, config: pytest.Config, items: list[pytest.Item]) -> None:
        """Leave out the other tests."""
        others = [item for item in items if not shown_by(item.name)]
        config.hook.pytest_deselected(items=others)
        items[:] = [item for item in items if shown_by(item.name)]

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """A case is what the worst of its phases is."""
        before = self._outcomes.get(report.nodeid, "passed")
        self._outcomes[report.nodeid] = min(before, report.outcome, key=_WORST_FIRST.index)

    def pytest_sessionfinish(self, session: pytest.Session) -> None:
        """A fault of the report fails the run."""
        if faults(self._page, self._outcomes):
            session.exitstatus = session.exitstatus or pytest.ExitCode.TESTS_FAILED

    def pytest_terminal_summary(self, terminalreporter: pytest.TerminalReporter) -> None:
        """Print the report, what is wrong with it last."""
        terminalreporter.section("behaviours")
        for line in report(self._page, self._outcomes):
            terminalreporter.write_line(line)
        for fault in faults(self._page, self._outcomes):
            terminalreporter.write_line(f"FAULT: {fault}", red=True)
