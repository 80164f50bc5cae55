"""The report on behaviours: what it reads, what it prints, and when it fails."""

import ast
from collections.abc import Iterator

import pytest

from tests.behaviours import PAGE, Behaviour, Reporter, faults, read_page, report, shown_by
from tests.walls.sources import modules

pytest_plugins = ["pytester"]

CLAIMED = Behaviour("B01", "One thing.", True, "")
LATER = Behaviour("B02", "Another thing.", False, "")
TWO = {row.id: row for row in (CLAIMED, LATER)}


def page() -> dict[str, Behaviour]:
    return read_page(PAGE.read_text(encoding="utf-8"))


def named() -> Iterator[tuple[str, str]]:
    """Every behaviour that the name of a test begins with, and that test."""
    for path, tree in modules("tests"):
        for node in ast.walk(tree):
            if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef)):
                yield from ((id, f"{path}::{node.name}") for id in shown_by(node.name))


def test_the_page_has_every_behaviour_once_and_in_order() -> None:
    assert list(page()) == [f"B{number:02}" for number in range(1, 24)]
    assert PAGE.read_text(encoding="utf-8").count("| B") == 23


def test_what_has_been_claimed_once_stays_claimed() -> None:
    claimed = {row.id for row in page().values() if row.is_claimed}
    assert claimed >= {"B04", "B06", "B11", "B12", "B13", "B22"}


def test_every_behaviour_that_is_claimed_has_a_test() -> None:
    claimed = {row.id for row in page().values() if row.is_claimed}
    assert claimed - {id for id, _ in named()} == set()


def test_every_behaviour_that_a_test_names_is_on_the_page() -> None:
    assert [test for id, test in named() if id not in page()] == []


def test_a_row_says_what_is_claimed_and_what_is_still_to_come() -> None:
    rows = read_page("| id | promise | state |\n|---|---|---|\n| B01 | One thing. | claimed; half of it later |\n")
    assert rows == {"B01": Behaviour("B01", "One thing.", True, "half of it later")}


@pytest.mark.parametrize(
    ("name", "ids"),
    [
        ("test_b06_a_client_that_leaves", ["B06"]),
        ("test_b06_b12_lines[json]", ["B06", "B12"]),
        ("test_b06", ["B06"]),
        ("test_b1_is_no_number", []),
        ("test_b123_is_none_either", []),
        ("test_b12th", []),
        ("test_lines_of_b06", []),
    ],
)
def test_the_beginning_of_a_name_says_what_a_test_shows(name: str, ids: list[str]) -> None:
    assert shown_by(name) == ids


@pytest.mark.parametrize(
    ("outcomes", "expected"),
    [
        ({"t.py::test_b01_x": "passed"}, []),
        ({"t.py::test_b01_x[a]": "passed", "t.py::test_b01_x[b]": "skipped"}, []),
        ({}, ["B01 is claimed: no test"]),
        ({"t.py::test_b02_x": "failed"}, ["B01 is claimed: no test"]),
        ({"t.py::test_b01_x": "skipped"}, ["B01 is claimed: skipped"]),
        ({"t.py::test_b01_x": "passed", "t.py::test_b01_y": "failed"}, ["B01 is claimed: failed"]),
        (
            {"t.py::test_b01_b99_x[1]": "passed", "t.py::test_b99_y": "passed"},
            ["B99 is not on the page: t.py::test_b01_b99_x, t.py::test_b99_y"],
        ),
    ],
)
def test_the_report_fails_for_what_is_claimed_and_not_shown(outcomes: dict[str, str], expected: list[str]) -> None:
    assert faults(TWO, outcomes) == expected


def test_the_report_counts_the_cases_of_each_test() -> None:
    outcomes = {"t.py::test_b01_x[a]": "passed", "t.py::test_b01_x[b]": "failed", "t.py::test_b99": "passed"}
    assert list(report(TWO, outcomes)) == [
        "B01  claimed  failed",
        "     t.py::test_b01_x: 1 failed, 1 passed",
        "B02  later    no test",
        "B99  unknown  passed",
        "     t.py::test_b99: 1 passed",
    ]


def test_the_report_says_what_was_left_out_here() -> None:
    outcomes = {"t.py::test_b01_x": "passed", "t.py::test_b01_y[a]": "skipped", "t.py::test_b01_y[b]": "skipped"}
    assert next(report(TWO, outcomes)) == "B01  claimed  passed, 2 skipped here"


def test_a_run_takes_the_tests_of_behaviours_and_fails_without_one_that_is_claimed(pytester: pytest.Pytester) -> None:
    pytester.makepyfile(
        """
        import pytest

        def test_something_else():
            raise AssertionError("not to be run")

        @pytest.mark.parametrize("case", [1, 2])
        def test_b02_holds(case):
            pass
        """
    )
    run = pytester.runpytest_inprocess(plugins=[Reporter(TWO)])
    run.assert_outcomes(passed=2, deselected=1)
    run.stdout.fnmatch_lines(["B01  claimed  no test", "*::test_b02_holds: 2 passed", "FAULT: B01 is claimed: no test"])
    assert run.ret == pytest.ExitCode.TESTS_FAILED


def test_a_run_in_which_all_that_is_claimed_is_shown_passes(pytester: pytest.Pytester) -> None:
    pytester.makepyfile("def test_b01_holds(): pass")
    run = pytester.runpytest_inprocess(plugins=[Reporter(TWO)])
    run.stdout.fnmatch_lines(["B01  claimed  passed"])
    assert run.ret == pytest.ExitCode.OK


@pytest.mark.parametrize("phase", ["setup", "teardown"])
def test_a_case_whose_surroundings_fail_has_failed(pytester: pytest.Pytester, phase: str) -> None:
    pytester.makepyfile(
        f"""
        import pytest

        @pytest.fixture
        def broken():
            assert {phase!r} != "setup"
            yield
            assert {phase!r} != "teardown"

        def test_b01_holds(broken): pass
        """
    )
    run = pytester.runpytest_inprocess(plugins=[Reporter(TWO)])
    run.stdout.fnmatch_lines(["B01  claimed  failed"])
