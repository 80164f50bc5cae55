"""The place for the spare: when it is filled, and when what is in it is given up."""

import pytest

from statemachines.limits import Limits
from statemachines.spare import SPARE, SpareOrder, SparePlace, SpareState, SpareTrigger
from statemachines.table import Kind, LookupInterpreter, Outcome

S, T = SpareState, SpareTrigger
LIMITS = Limits(spare_warm_ns=1000, spare_pause_ns=10, spare_backoff_ns=100, spare_backoff_max_ns=350)
TABLE = LookupInterpreter(SPARE)


class Bench:
    """A place, and a clock that a test moves."""

    def __init__(self) -> None:
        self.now_ns = 0
        self.place = SparePlace(LIMITS, now_ns=0)
        self.orders: list[SpareOrder] = []

    def fire(self, *triggers: SpareTrigger) -> Outcome:
        for trigger in triggers:
            outcome = TABLE.fire(self.place, trigger, self.orders, self.now_ns)
        return outcome

    @property
    def due_in_ns(self) -> int | None:
        return None if self.place.due_ns is None else self.place.due_ns - self.now_ns


@pytest.fixture
def bench() -> Bench:
    return Bench()


def test_the_first_spare_is_due_at_once(bench: Bench) -> None:
    assert bench.due_in_ns == 0
    bench.fire(T.DUE)
    assert bench.place.state is S.IMPORTING
    assert bench.orders == [SpareOrder.START]


def test_one_that_greets_in_time_is_warm_and_has_no_deadline(bench: Bench) -> None:
    bench.fire(T.DUE)
    assert bench.due_in_ns == LIMITS.spare_warm_ns
    bench.fire(T.GREETED)
    assert bench.place.state is S.WARM
    assert bench.due_in_ns is None
    assert bench.fire(T.DUE).kind is Kind.IGNORE
    assert bench.fire(T.GREETED).kind is Kind.IGNORE


def test_one_that_does_not_greet_in_time_is_killed(bench: Bench) -> None:
    bench.fire(T.DUE)
    bench.now_ns = LIMITS.spare_warm_ns
    bench.fire(T.DUE)
    assert bench.place.state is S.NONE
    assert bench.orders == [SpareOrder.START, SpareOrder.KILL]
    assert bench.due_in_ns == LIMITS.spare_backoff_ns


def test_the_next_one_comes_a_pause_after_the_last_load_and_not_before(bench: Bench) -> None:
    bench.fire(T.DUE, T.GREETED, T.LOADS_BEGAN, T.TAKEN)
    assert bench.place.state is S.NONE
    assert bench.due_in_ns is None
    bench.fire(T.LOADS_BEGAN)
    assert bench.due_in_ns is None
    bench.fire(T.LOADS_ENDED)
    assert bench.due_in_ns == LIMITS.spare_pause_ns


def test_a_load_that_begins_during_the_pause_holds_the_next_one_back(bench: Bench) -> None:
    bench.fire(T.DUE, T.GREETED, T.LOADS_BEGAN, T.TAKEN, T.LOADS_ENDED, T.LOADS_BEGAN)
    assert bench.due_in_ns is None


def test_one_that_is_taken_for_no_load_is_followed_by_the_next(bench: Bench) -> None:
    bench.fire(T.DUE, T.GREETED, T.TAKEN)
    assert bench.due_in_ns == LIMITS.spare_pause_ns


@pytest.mark.parametrize("triggers", [(T.DUE,), (T.DUE, T.GREETED)], ids=["importing", "warm"])
def test_loads_elsewhere_do_not_touch_the_one_that_is_there(bench: Bench, triggers: tuple[SpareTrigger, ...]) -> None:
    bench.fire(*triggers)
    state, due_ns = bench.place.state, bench.place.due_ns
    bench.fire(T.LOADS_BEGAN, T.LOADS_ENDED)
    assert (bench.place.state, bench.place.due_ns) == (state, due_ns)


def test_each_loss_doubles_the_pause_up_to_its_limit(bench: Bench) -> None:
    pauses = []
    for triggers in ((T.DUE, T.LOST), (T.DUE, T.GREETED, T.LOST), (T.DUE, T.LOST), (T.DUE, T.LOST)):
        bench.fire(*triggers)
        pauses.append(bench.due_in_ns)
    assert pauses == [100, 200, 350, 350]


def test_a_thousand_losses_are_only_the_longest_pause(bench: Bench) -> None:
    for _ in range(1000):
        bench.fire(T.DUE, T.LOST)
    assert bench.due_in_ns == LIMITS.spare_backoff_max_ns


def test_a_loss_during_a_load_waits_for_its_end_and_keeps_its_pause(bench: Bench) -> None:
    bench.fire(T.DUE, T.LOADS_BEGAN, T.LOST)
    assert bench.due_in_ns is None
    bench.fire(T.LOADS_ENDED)
    assert bench.due_in_ns == LIMITS.spare_backoff_ns


def test_only_one_that_was_warm_and_taken_ends_the_back_off(bench: Bench) -> None:
    bench.fire(T.DUE, T.LOST, T.DUE, T.TAKEN)
    assert bench.place.failures == 1
    bench.fire(T.DUE, T.GREETED)
    assert bench.place.failures == 1
    bench.fire(T.TAKEN)
    assert bench.place.failures == 0


@pytest.mark.parametrize("triggers", [(T.DUE,), (T.DUE, T.GREETED)], ids=["importing", "warm"])
def test_one_that_does_not_fit_is_killed_and_is_no_failure(bench: Bench, triggers: tuple[SpareTrigger, ...]) -> None:
    bench.fire(*triggers, T.MISFIT)
    assert bench.place.state is S.NONE
    assert bench.orders[-1] is SpareOrder.KILL
    assert bench.place.failures == 0
    assert bench.due_in_ns == LIMITS.spare_pause_ns


@pytest.mark.parametrize("triggers", [(T.DUE,), (T.DUE, T.GREETED)], ids=["importing", "warm"])
def test_one_that_is_found_stopped_is_killed_and_is_a_failure(bench: Bench, triggers: tuple[SpareTrigger, ...]) -> None:
    bench.fire(*triggers, T.FROZEN)
    assert bench.place.state is S.NONE
    assert bench.orders[-1] is SpareOrder.KILL
    assert bench.due_in_ns == LIMITS.spare_backoff_ns


@pytest.mark.parametrize("before", [(), (T.DUE,), (T.DUE, T.GREETED), (T.DUE, T.LOST)])
def test_a_service_that_stops_fills_the_place_never_again(bench: Bench, before: tuple[SpareTrigger, ...]) -> None:
    bench.fire(*before, T.CLOSED)
    orders = list(bench.orders)
    bench.fire(T.LOST, T.LOADS_BEGAN, T.LOADS_ENDED)
    assert bench.due_in_ns is None
    assert bench.orders == orders


def test_a_service_that_stops_keeps_the_spare_that_is_there(bench: Bench) -> None:
    bench.fire(T.DUE, T.GREETED, T.CLOSED)
    assert bench.place.state is S.WARM


@pytest.mark.parametrize("trigger", [T.GREETED, T.LOST, T.TAKEN, T.MISFIT, T.FROZEN])
def test_nothing_can_happen_to_an_empty_place(bench: Bench, trigger: SpareTrigger) -> None:
    assert bench.fire(trigger).kind is Kind.IGNORE
    assert bench.due_in_ns == 0
    assert bench.orders == []
