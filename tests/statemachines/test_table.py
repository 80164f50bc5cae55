"""Tables are total, and both interpreters read them alike."""

from enum import StrEnum
from itertools import product
from typing import Any

import msgspec
import pytest

from statemachines.diagrams import TABLES
from statemachines.table import (
    Alternative,
    Kind,
    LookupInterpreter,
    Outcome,
    Table,
    TransitionsInterpreter,
    go,
    ignore,
    illegal,
    stay,
)


class State(StrEnum):
    OFF = "off"
    ON = "on"


class Trigger(StrEnum):
    PRESS = "press"


class Lamp:
    def __init__(self, state: Any) -> None:
        self.state = state


def lamp_table(*row: Any) -> Table:
    return Table("lamp", State, Trigger, {Trigger.PRESS: row})


def test_a_table_that_leaves_a_cell_out_is_refused() -> None:
    with pytest.raises(TypeError, match="1 cells for 2 states"):
        lamp_table(go(State.ON, "lit"))


def test_a_table_without_a_row_for_a_trigger_is_refused() -> None:
    with pytest.raises(TypeError, match="0 cells"):
        Table("lamp", State, Trigger, {})


def test_a_row_for_no_trigger_is_refused() -> None:
    with pytest.raises(TypeError, match="row without a trigger"):
        Table("lamp", State, Trigger, {Trigger.PRESS: (ignore("x"), ignore("x")), "shake": ()})


def test_a_cell_whose_last_alternative_is_guarded_is_refused() -> None:
    with pytest.raises(TypeError, match="every alternative but the last"):
        lamp_table(ignore("maybe", when=bool), ignore("x"))


def test_a_cell_with_an_alternative_behind_an_unguarded_one_is_refused() -> None:
    with pytest.raises(TypeError, match="every alternative but the last"):
        lamp_table((ignore("always"), ignore("never reached")), ignore("x"))


def test_an_empty_cell_is_refused() -> None:
    with pytest.raises(TypeError, match="every alternative but the last"):
        lamp_table((), ignore("x"))


def test_a_transition_to_another_machines_state_is_refused() -> None:
    with pytest.raises(TypeError, match="target"):
        lamp_table(go(Trigger.PRESS, "nowhere"), ignore("x"))


def test_a_trigger_that_is_illegal_everywhere_is_known_to_both_interpreters() -> None:
    table = lamp_table(illegal("broken"), illegal("broken"))
    for interpreter in (LookupInterpreter(table), TransitionsInterpreter(table)):
        outcome = interpreter.fire(Lamp(State.OFF), Trigger.PRESS, None)
        assert outcome == Outcome(Kind.ILLEGAL, State.OFF, State.OFF, "broken")


def test_the_action_runs_after_the_state_has_changed_and_gets_step_and_fact() -> None:
    seen: list[Any] = []
    table = lamp_table(
        go(State.ON, "lit", action=lambda lamp, step, fact: seen.append((lamp.state, step, fact))), stay("still lit")
    )
    for interpreter in (LookupInterpreter(table), TransitionsInterpreter(table)):
        lamp = Lamp(State.OFF)
        assert interpreter.fire(lamp, Trigger.PRESS, "step", "fact").kind is Kind.GO
        assert lamp.state is State.ON
    assert seen == [(State.ON, "step", "fact")] * 2


class Scripted:
    """Replaces guards and actions of a cell by ones that are dictated and recorded."""

    def __init__(self, table: Table) -> None:
        self.answers: dict[int, bool] = {}
        self.ran: list[int] = []
        self.table = Table.__new__(Table)
        self.table.machine, self.table.states, self.table.triggers = table.machine, table.states, table.triggers
        self.table.cells = {
            where: tuple(self._scripted(one, number) for number, one in enumerate(cell))
            for where, cell in table.cells.items()
        }

    def _scripted(self, one: Alternative, number: int) -> Alternative:
        return msgspec.structs.replace(
            one,
            guard=None if one.guard is None else lambda _model: self.answers[number],
            action=lambda _model, _step, _fact: self.ran.append(number),
        )


@pytest.mark.parametrize("table", TABLES, ids=lambda table: table.machine)
def test_both_interpreters_agree_on_every_cell_and_every_answer_of_its_guards(table: Table) -> None:
    scripted = Scripted(table)
    lookup, library = LookupInterpreter(scripted.table), TransitionsInterpreter(scripted.table)
    for (state, trigger), cell in table.cells.items():
        for answers in product((False, True), repeat=len(cell) - 1):
            scripted.answers = dict(enumerate(answers))
            seen = []
            for interpreter in (lookup, library):
                scripted.ran.clear()
                model = Lamp(state)
                outcome = interpreter.fire(model, trigger, None)
                ran = [] if outcome.kind is Kind.ILLEGAL else list(scripted.ran)
                seen.append((outcome, model.state, ran))
            assert seen[0] == seen[1], (state, trigger, answers)


@pytest.mark.parametrize("table", TABLES, ids=lambda table: table.machine)
def test_every_state_can_be_reached(table: Table) -> None:
    reached = {table.states[0]}
    for _ in table.states:
        reached |= {
            one.target
            for (state, _), cell in table.cells.items()
            for one in cell
            if state in reached and one.target is not None
        }
    assert reached == set(table.states)


@pytest.mark.parametrize("table", TABLES, ids=lambda table: table.machine)
def test_every_cell_says_why(table: Table) -> None:
    assert all(one.why for cell in table.cells.values() for one in cell)
