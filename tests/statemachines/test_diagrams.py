"""The page of the machines is drawn from the tables and is current."""

import importlib.util

import pytest

from statemachines.diagrams import TABLES, diagram, matrix
from statemachines.table import Table
from tests.checkout import ROOT


@pytest.mark.parametrize("table", TABLES, ids=lambda table: table.machine)
def test_the_matrix_has_every_cell(table: Table) -> None:
    rows = matrix(table).splitlines()
    assert len(rows) == 2 + len(table.triggers)
    assert all(row.count(" | ") == len(table.states) for row in rows)
    for trigger, row in zip(table.triggers, rows[2:], strict=True):
        for state in table.states:
            assert all(one.why in row for one in table.cells[state, trigger])


@pytest.mark.parametrize("table", TABLES, ids=lambda table: table.machine)
def test_the_diagram_has_every_transition(table: Table) -> None:
    drawn = diagram(table)
    for (state, trigger), cell in table.cells.items():
        for one in cell:
            if one.target is not None:
                (line,) = [line for line in drawn.splitlines() if line.startswith(f"    {state} --> {one.target}:")]
                assert str(trigger) in line


def test_the_page_in_the_docs_is_what_the_tables_say() -> None:
    spec = importlib.util.spec_from_file_location("draw_machines", ROOT / "tools" / "draw_machines.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    assert module.PAGE.read_text(encoding="utf-8") == module.page()
