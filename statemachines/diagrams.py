"""Draws the tables: a matrix and a Mermaid state diagram per machine, from the very data that runs.

`tools/draw_machines.py` writes them into docs/reference/machines.md, and a test keeps that page true. For operators
all machines are drawn in one diagram, with those who are in them at the moment.
"""

from collections.abc import Iterator, Mapping, Sequence

from statemachines.bytes import BYTES
from statemachines.device import DEVICE
from statemachines.lifecycle import SERVICE
from statemachines.load import LOAD
from statemachines.occupants import Place
from statemachines.request import REQUEST
from statemachines.runner import RUNNER
from statemachines.spare import SPARE
from statemachines.table import Alternative, Kind, Table

TABLES: tuple[Table, ...] = (REQUEST, LOAD, RUNNER, BYTES, DEVICE, SERVICE, SPARE)
"""All machines, in the order in which a request meets them."""

NAMED_MAX = 8
"""Who is named in one state [count]; the rest is a number."""
_PLAIN = frozenset("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789 ,.:_/@+-")
"""What a name may bring into a diagram: a file may be called anything, a line of Mermaid included."""


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
    return "\n".join(["stateDiagram-v2", *_arrows(table)])


def marked(occupants: Mapping[Place, Sequence[str]]) -> str:
    """All machines in one Mermaid state diagram; states that somebody is in stand out, with a note of who that is.

    One diagram and not one per machine, because a Mermaid text holds one; flat, because its styles do not reach into
    a state that is made of states.
    """
    lines = ["stateDiagram-v2", "    classDef occupied fill:#fd7,stroke:#333,stroke-width:3px,color:#000"]
    for table in TABLES:
        prefix = f"{table.machine}_"
        lines += [f'    state "{table.machine}: {state}" as {prefix}{state}' for state in table.states]
        lines += _arrows(table, prefix)
        for state in map(str, table.states):
            lines += _mark(f"{prefix}{state}", occupants.get((table.machine, state), ()))
    return "\n".join(lines)


def _arrows(table: Table, prefix: str = "") -> Iterator[str]:
    yield f"    [*] --> {prefix}{table.states[0]}"
    for source in table.states:
        for target in table.states:
            names = _triggers_between(table, str(source), str(target))
            if names:
                yield f"    {prefix}{source} --> {prefix}{target}: {', '.join(names)}"


def _mark(state: str, names: Sequence[str]) -> Iterator[str]:
    if not names:
        return
    yield f"    class {state} occupied"
    yield f"    note right of {state}"
    yield from (f"        {_plain(name)}" for name in names[:NAMED_MAX])
    if len(names) > NAMED_MAX:
        yield f"        and {len(names) - NAMED_MAX} more"
    yield "    end note"


def _plain(name: str) -> str:
    return "".join(letter if letter in _PLAIN else "?" for letter in name)


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
