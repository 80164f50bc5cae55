"""Tables: what every machine does with every trigger in every state, as data.

Theory of operation. A machine is a `Table`: one row per trigger, one cell per state, in the order of the states.
A cell is a list of alternatives; the first whose guard holds is taken, and the last one has no guard:

- `go`: change the state, then run the action;
- `stay`: run the action, the state remains;
- `ignore`: an event that came late, twice, or to somebody who is past caring: dropped, with the reason;
- `illegal`: must not happen; the scheduler condemns the incarnation it is about.

A table that leaves a cell out does not import. Two interpreters read the same data: `LookupInterpreter` (a
dictionary look-up, for the machines that fire often) and `TransitionsInterpreter` (the `transitions` library, for
those that fire rarely). They have no behaviour of their own, and a test runs both over all tables.

This is the only module that imports `transitions`. Its traps, and why it is used as it is here, stand in
docs/decisions/0007-state-machines.md.
"""

from collections.abc import Callable, Mapping
from enum import Enum, StrEnum
from typing import Any, Protocol

import msgspec
from transitions import EventData, Machine, MachineError

Guard = Callable[[Any], bool]
"""Looks at the model; pure."""
Action = Callable[[Any, Any, Any], None]
"""Called with the model, the step and the fact that fired; changes the model and appends effects to the step."""


class Kind(StrEnum):
    """What an alternative does."""

    GO = "go"
    STAY = "stay"
    IGNORE = "ignore"
    ILLEGAL = "illegal"


class Alternative(msgspec.Struct, frozen=True):
    """One way a cell can be taken.

    Attributes:
        target: the state after it, for GO.
        why: one sentence: what it means (GO, STAY) or the reason (IGNORE, ILLEGAL).
    """

    kind: Kind
    why: str
    target: Enum | None = None
    action: Action | None = None
    guard: Guard | None = None


Cell = tuple[Alternative, ...]


def go(target: Enum, why: str, *, action: Action | None = None, when: Guard | None = None) -> Alternative:
    """A transition to ``target``."""
    return Alternative(Kind.GO, why, target, action, when)


def stay(why: str, *, action: Action | None = None, when: Guard | None = None) -> Alternative:
    """The state remains, the action runs."""
    return Alternative(Kind.STAY, why, None, action, when)


def ignore(reason: str, *, when: Guard | None = None) -> Alternative:
    """Nothing happens; the event is counted."""
    return Alternative(Kind.IGNORE, reason, None, None, when)


def illegal(reason: str) -> Alternative:
    """This must not happen."""
    return Alternative(Kind.ILLEGAL, reason)


class Outcome(msgspec.Struct, frozen=True):
    """What a trigger did."""

    kind: Kind
    source: Enum
    target: Enum
    why: str


class Model(Protocol):
    """What a table can drive: anything with a state."""

    state: Any


Row = tuple[Alternative | Cell, ...]


class Table:
    """A total machine.

    Args:
        machine: its name in reports.
        states: in the order of the columns; the first is the initial one.
        rows: for each trigger one cell per state.

    Raises:
        TypeError: a cell is missing, unreachable alternatives, or a target that is no state.
    """

    def __init__(self, machine: str, states: type[Enum], triggers: type[Enum], rows: Mapping[Any, Row]) -> None:
        self.machine = machine
        self.states = tuple(states)
        self.triggers = tuple(triggers)
        self.cells: dict[tuple[Enum, Enum], Cell] = {}
        for trigger in self.triggers:
            self._add_row(trigger, rows.get(trigger, ()))
        if len(rows) != len(self.triggers):
            raise TypeError(f"{machine}: a row without a trigger")

    def _add_row(self, trigger: Enum, row: Row) -> None:
        if len(row) != len(self.states):
            raise TypeError(f"{self.machine}: the row of {trigger} has {len(row)} cells for {len(self.states)} states")
        for state, entry in zip(self.states, row, strict=True):
            cell = entry if isinstance(entry, tuple) else (entry,)
            self._check_cell(f"{self.machine}: {state} x {trigger}", cell)
            self.cells[state, trigger] = cell

    def _check_cell(self, where: str, cell: Cell) -> None:
        if not cell or cell[-1].guard is not None or any(a.guard is None for a in cell[:-1]):
            raise TypeError(f"{where}: every alternative but the last has a guard")
        if any((a.kind is Kind.GO) != (a.target in self.states) for a in cell):
            raise TypeError(f"{where}: exactly the transitions have a target, and it is a state")


class LookupInterpreter:
    """Reads a table by dictionary look-up."""

    def __init__(self, table: Table) -> None:
        self.table = table

    def fire(self, model: Model, trigger: Enum, step: Any, fact: Any = None) -> Outcome:
        """Take the first alternative of (state, trigger) whose guard holds."""
        source = model.state
        chosen = next(a for a in self.table.cells[source, trigger] if a.guard is None or a.guard(model))
        if chosen.target is not None:
            model.state = chosen.target
        if chosen.action is not None:
            chosen.action(model, step, fact)
        return Outcome(chosen.kind, source, chosen.target or source, chosen.why)


class _Firing:
    """Carries one firing through the library's callbacks and brings the outcome back."""

    __slots__ = ("chosen", "fact", "step")

    def __init__(self, step: Any, fact: Any) -> None:
        self.step = step
        self.fact = fact
        self.chosen: Alternative | None = None


class TransitionsInterpreter:
    """Reads a table through the `transitions` library: built once per kind of machine, never per model.

    Illegal alternatives are left out of what the library sees, so its own refusal is what reports them.
    """

    def __init__(self, table: Table) -> None:
        self.table = table
        self._machine = Machine(
            model=None,
            states=list(table.states),
            initial=table.states[0],
            auto_transitions=False,
            send_event=True,
            ignore_invalid_triggers=False,
        )
        for trigger in table.triggers:
            # A trigger that is illegal everywhere must still exist, or the library would not know its name.
            self._machine.events[trigger.name] = self._machine.event_cls(trigger.name, self._machine)
        for (state, trigger), cell in table.cells.items():
            for alternative in cell:
                self._add(state, trigger, alternative)

    def _add(self, state: Enum, trigger: Enum, alternative: Alternative) -> None:
        if alternative.kind is Kind.ILLEGAL:
            return

        def holds(data: EventData) -> bool:
            return alternative.guard is None or alternative.guard(data.model)

        def act(data: EventData) -> None:
            firing: _Firing = next(iter(data.args))
            firing.chosen = alternative
            if alternative.action is not None:
                alternative.action(data.model, firing.step, firing.fact)

        self._machine.add_transition(trigger.name, state, alternative.target, conditions=holds, after=act)

    def fire(self, model: Model, trigger: Enum, step: Any, fact: Any = None) -> Outcome:
        """Same as `LookupInterpreter.fire`."""
        source = model.state
        firing = _Firing(step, fact)
        try:
            self._machine.events[trigger.name].trigger(model, firing)
        except MachineError:
            firing.chosen = None
        if firing.chosen is None:
            refused = self.table.cells[source, trigger][-1]
            return Outcome(refused.kind, source, source, refused.why)
        return Outcome(firing.chosen.kind, source, model.state, firing.chosen.why)
