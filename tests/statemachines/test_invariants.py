"""Every invariant can fail: each is shown a world that breaks it, and says so."""

from collections.abc import Callable

import pytest

from statemachines import invariants
from statemachines.deadlines import DeadlineName
from statemachines.errors import InternalError
from statemachines.lifecycle import ServiceState
from statemachines.limits import Limits
from statemachines.states import Stage
from statemachines.units import LeaseId, LoadId, RequestId, RunnerId
from statemachines.world import World
from tests.statemachines.bench import Bench

ONE = RunnerId(1)


def busy_world() -> World:
    """A READY, busy `a` with a waiter, and a starting `b`."""
    bench = Bench()
    bench.ready("a")
    bench.ask("a")
    bench.ask("a")
    bench.ask("b")
    return bench.core._world


def unloading_world() -> World:
    bench = Bench()
    bench.ready("a", keep_alive_ns=0)
    bench.pass_time(0)
    return bench.core._world


def twin_loading(world: World) -> None:
    world.runners[RunnerId(9)] = world.runners[RunnerId(2)]


def twin_ready(world: World) -> None:
    world.runners[RunnerId(9)] = world.runners[ONE]


def twin_load(world: World) -> None:
    world.loads[LoadId(9)] = world.loads[LoadId(2)]


def no_holding(world: World) -> None:
    world.ledger.release(ONE)


def wrong_sum(world: World) -> None:
    world.ledger.used_bytes += 1


def lost_lease(world: World) -> None:
    del world.leases[LeaseId(2)]


def too_many_leases(world: World) -> None:
    request = world.requests[RequestId(3)]
    runner = world.runners[ONE]
    request.lease = LeaseId(9)
    runner.leases[LeaseId(9)] = request
    world.leases[LeaseId(9)] = (request, runner)


def no_place(world: World) -> None:
    world.requests[RequestId(3)].runner = None


def unwatched(world: World) -> None:
    world.deadlines.disarm(DeadlineName.WEDGE, ONE)


def watched_idler(world: World) -> None:
    world.deadlines.arm(DeadlineName.WEDGE, RunnerId(2), 5)


def no_deadline(world: World) -> None:
    world.deadlines.disarm(DeadlineName.WAIT, RequestId(3))


def unwanted_load(world: World) -> None:
    world.loads[LoadId(2)].claimants.clear()


def idle_slot(world: World) -> None:
    loaded = world.runners[ONE].loaded
    assert loaded is not None
    world.runners[ONE].loaded = type(loaded)(loaded.context_tokens, 2)


def fence_of_nobody(world: World) -> None:
    runner = world.runners[ONE]
    runner.fence = LoadId(77)
    runner.waiters.clear()


def too_many_runners(world: World) -> None:
    for number in range(10, 14):
        world.runners[RunnerId(number)] = world.runners[ONE]


def miscounted(world: World) -> None:
    world.waiting_count += 1


def too_many_loading(world: World) -> None:
    world.limits = Limits(loads_parallel_max=0)


def too_long_a_queue(world: World) -> None:
    world.limits = Limits(queue_len_max=0)


def still_waiting_in_a_shutdown(world: World) -> None:
    world.service.state = ServiceState.DRAINING


def still_ready_in_a_shutdown(world: World) -> None:
    world.service.state = ServiceState.STOPPED
    world.loads.clear()
    world.waiting.clear()


@pytest.mark.parametrize(
    ("name", "harm"),
    [
        ("single_flight", twin_loading),
        ("single_flight", twin_ready),
        ("single_flight", twin_load),
        ("bytes_balance", no_holding),
        ("bytes_balance", wrong_sum),
        ("leases_balance", lost_lease),
        ("leases_balance", too_many_leases),
        ("waits_have_causes", no_place),
        ("waits_have_causes", no_deadline),
        ("waits_have_causes", unwanted_load),
        ("work_is_watched", unwatched),
        ("work_is_watched", watched_idler),
        ("slots_are_used", idle_slot),
        ("fences_have_holders", fence_of_nobody),
        ("bounds_hold", too_many_runners),
        ("bounds_hold", miscounted),
        ("bounds_hold", too_many_loading),
        ("bounds_hold", too_long_a_queue),
        ("shutdown_ends", still_waiting_in_a_shutdown),
        ("shutdown_ends", still_ready_in_a_shutdown),
    ],
)
def test_an_invariant_sees_what_breaks_it(name: str, harm: Callable[[World], None]) -> None:
    world = busy_world()
    invariants.check(world)
    harm(world)
    invariant = next(one for one in invariants.INVARIANTS if one.__name__ == name)
    try:
        found = invariant(world)
    except InternalError as error:
        found = str(error)
    assert found
    with pytest.raises(InternalError):
        invariants.check(world)


def test_a_runner_terminated_in_the_middle_of_an_answer_is_seen() -> None:
    world = unloading_world()
    runner = world.runners[ONE]
    runner.leases[LeaseId(9)] = None  # type: ignore[assignment]  # never looked at
    assert "in the middle of an answer" in invariants.victims_had_no_lease(world)


def test_a_stop_without_a_deadline_is_seen_until_it_is_unreapable() -> None:
    world = unloading_world()
    world.deadlines.disarm(DeadlineName.TERM, ONE)
    assert "without a deadline" in invariants.stops_have_deadlines(world)
    world.runners[ONE].stage = Stage.UNREAPABLE
    assert invariants.stops_have_deadlines(world) == ""


def test_a_fence_on_an_idle_runner_is_seen() -> None:
    bench = Bench(runners_max=1)
    runner = bench.ready("a")
    bench.ask("a")
    bench.ask("b")
    world = bench.core._world
    assert invariants.fences_have_holders(world) == ""
    world.runners[runner].leases.clear()
    assert "idle" in invariants.fences_have_holders(world)
