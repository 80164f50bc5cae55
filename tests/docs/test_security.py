"""The page on security names tests; each of them is there, and each test of an incident is on the page."""

import ast
import re
from functools import cache

from tests.checkout import ROOT
from tests.walls.sources import modules

PAGE = ROOT / "docs" / "design" / "security.md"
OF_AN_INCIDENT = re.compile(r"test_(cve_\d|go_\d|mass_exposure|shadow_mq|llama_cpp_\d|xinference_\d|ollama_\d)")
NO_TEST_YET = ("CVE-2025-59425 (vLLM)",)
"""Incidents of features that are not here at all."""


@cache
def names_in_the_tree() -> set[str]:
    """Names of all tests."""
    trees = (tree for _, tree in modules("tests"))
    functions = (node for tree in trees for node in ast.walk(tree))
    return {node.name for node in functions if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)}


def rows() -> list[list[str]]:
    """The table of incidents, each row by its cells."""
    table = PAGE.read_text(encoding="utf-8").partition("| incident |")[2].partition("\n\n")[0]
    return [[cell.strip() for cell in line.split("|")[1:-1]] for line in table.splitlines()[2:]]


def named() -> set[str]:
    return set(re.findall(r"`(test_\w+)`", PAGE.read_text(encoding="utf-8")))


def test_every_test_that_the_page_names_is_there() -> None:
    assert named() - names_in_the_tree() == set()


def test_every_test_of_an_incident_is_on_the_page() -> None:
    assert {name for name in names_in_the_tree() if OF_AN_INCIDENT.match(name)} - named() == set()


def test_every_incident_has_a_test_or_is_said_to_come_later() -> None:
    assert len(rows()) > 20
    for incident, _, guard, shown in rows():
        assert guard, incident
        assert re.search(r"`test_\w+`", shown) or (incident in NO_TEST_YET and guard.startswith("later: ")), incident


def test_an_incident_with_a_number_has_a_test_that_carries_it() -> None:
    """The number in a test's name is how one finds it again."""
    for incident, _, guard, shown in rows():
        numbers = [number.lower().replace("-", "_") for number in re.findall(r"CVE-\d+-\d+", incident)]
        if numbers and not guard.startswith("later: "):
            assert all(number in shown for number in numbers), incident
