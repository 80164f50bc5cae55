"""Draws the tables: a matrix and a Mermaid state diagram per machine, from the very data that runs.

`tools/draw_machines.py` writes them into docs/reference/machines.md, and a test keeps that page true.
"""

from statemachines.bytes import BYTES
from statemachines.device import DEVICE
from statemachines.lifecycle import SERVICE
from statemachines.load import LOAD
from statemachines.request import REQUEST
from statemachines.runner import RUNNER
from statemachines.spare import SPARE
from statemachines.table import Alternative, Kind, Table

TABLES: tuple[Table, ...] = (REQUEST, LOAD, RUNNER, BYTES, DEVICE, SERVICE, SPARE)
"""All machines, in the order in which a request meets them."""


def matrix(table: Table) -> str:
    """The table in Markdown: a row per trigger, a column per state, every alternative of every cell."""
    header = ["event", *(str(state).upper() for state in table.states)]
    lines = [_row(header), _row(["---"] * len(header))]
    for trigger in table.triggers:
        cells = ("<br>".join(_words(one) for one in table.cells[state, trigger]) for state in table.states)
        lines.append(_row([f"**{trigger}**", *cells]))
    return "\n".join(lines)


def diagram(table: Table) -> str:
    """The table's transitions as a Mermaid state diagram."""
    lines = ["stateDiagram-v2", f"    [*] --> {table.states[0]}"]
    for source in table.states:
        for target in table.states:
            names = _triggers_between(table, str(source), str(target))
            if names:
                lines.append(f"    {source} --> {target}: {', '.join(names)}")
    return "\n".join(lines)


def _triggers_between(table: Table, source: str, target: str) -> list[str]:
    return [
        str(trigger)
        for (state, trigger), cell in table.cells.items()
        if str(state) == source and any(one.target is not None and str(one.target) == target for one in cell)
    ]


def _words(one: Alternative) -> str:
    condition = "" if one.guard is None else f"if {one.guard.__name__.replace('_', ' ')}: "
    action = "" if one.action is None else f" · `{one.action.__name__}`"
    if one.target is not None:
        return f"{condition}**{str(one.target).upper()}**{action}: {one.why}"
    if one.kind is Kind.STAY:
        return f"{condition}stays{action}: {one.why}"
    return f"{condition}*{one.kind}*: {one.why}"


def _row(cells: list[str]) -> str:
    return f"| {' | '.join(cells)} |"
