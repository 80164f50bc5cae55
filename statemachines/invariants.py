"""What must hold after every step, checked from outside: one function per rule, none of which trusts an index.

Strict mode (all tests, all simulation) checks everything after every event; production checks nothing but the
ledger's own books, which are fatal everywhere.
"""

from collections.abc import Callable

from statemachines.deadlines import DeadlineName
from statemachines.errors import InternalError
from statemachines.lifecycle import ServiceState
from statemachines.states import RequestState, RunnerState, Stage
from statemachines.units import RunnerId
from statemachines.world import World


def check(world: World) -> None:
    """Check every invariant.

    Raises:
        InternalError: which one is broken, and by whom.
    """
    for invariant in INVARIANTS:
        broken = invariant(world)
        if broken:
            raise InternalError(f"{invariant.__name__}: {broken}")


def single_flight(world: World) -> str:
    """Rule 1: per load key one open load, one LOADING and one READY runner at most."""
    for states in ((RunnerState.LOADING,), (RunnerState.READY,)):
        keys = [runner.key for runner in world.runners.values() if runner.state in states]
        if len(keys) != len(set(keys)):
            return f"a load key has two runners in {states[0]}"
    opened = [load.key for load in world.loads.values()]
    return "a load key has two open loads" if len(opened) != len(set(opened)) else ""


def bytes_balance(world: World) -> str:
    """Rule 2: every live runner holds bytes once, nobody else does, and the sums are right."""
    world.ledger.audit()
    without = [runner for runner in world.runners if world.ledger.holding(RunnerId(runner)) is None]
    return f"runners {without} hold nothing" if without else ""


def leases_balance(world: World) -> str:
    """B13: the leases of runners, of requests and of the index are the same; none beyond the slots."""
    of_runners = {lease: request for runner in world.runners.values() for lease, request in runner.leases.items()}
    of_requests = {request.lease: request for request in world.requests.values() if request.lease is not None}
    if of_runners != of_requests or set(world.leases) != set(of_runners):
        return "leases of runners and requests differ"
    for runner in world.runners.values():
        if runner.leases and (runner.loaded is None or len(runner.leases) > runner.loaded.slots):
            return f"{runner} has more leases than slots"
    return ""


def victims_had_no_lease(world: World) -> str:
    """Rule 3: a runner that is being ended with leases was ordered, cancelled, lost or killed, never evicted."""
    for runner in world.runners.values():
        evicted = runner.state is RunnerState.UNLOADING and runner.stage is Stage.TERMINATING
        if evicted and runner.leases and runner.ordered is None:
            return f"{runner} is terminated in the middle of an answer"
    return ""


def waits_have_causes(world: World) -> str:
    """Rule 5: every waiting request is in exactly one place and has a deadline; every open load is wanted or ends."""
    for request in world.requests.values():
        if request.state is not RequestState.WAITING:
            continue
        places = [place for place in (request.runner, request.load, request.behind) if place is not None]
        if len(places) != 1:
            return f"{request} waits in {len(places)} places"
        if world.deadlines.due_at(DeadlineName.WAIT, request.id) is None:
            return f"{request} waits without a deadline"
    for load in world.loads.values():
        if not load.claimants and world.deadlines.due_at(DeadlineName.GRACE, load.id) is None:
            return f"{load} is wanted by nobody and has no end"
    return ""


def stops_have_deadlines(world: World) -> str:
    """Rule 17: every UNLOADING runner has a deadline, until it is unreapable."""
    names = (DeadlineName.DRAIN, DeadlineName.TERM, DeadlineName.KILL)
    for runner in world.runners.values():
        if runner.state is not RunnerState.UNLOADING or runner.stage is Stage.UNREAPABLE:
            continue
        if all(world.deadlines.due_at(name, runner.id) is None for name in names):
            return f"{runner} is being stopped without a deadline"
    return ""


def work_is_watched(world: World) -> str:
    """Rule 15: a runner with a lease is watched for as long as it may go on with it, and only then."""
    for runner in world.runners.values():
        works = bool(runner.leases) and runner.stage in (Stage.NONE, Stage.DRAINING)
        if works != (world.deadlines.due_at(DeadlineName.WEDGE, runner.id) is not None):
            return f"{runner} is {'not ' if works else ''}watched"
    return ""


def slots_are_used(world: World) -> str:
    """Rules 6 and 7: nobody waits for a runner that has a free slot."""
    for runner in world.runners.values():
        if runner.waiters and (runner.free_slots > 0 or not runner.is_open):
            return f"{runner} has waiters and could serve them, or never will"
    return ""


def fences_have_holders(world: World) -> str:
    """A fence names an open load that waits, and stands on a READY runner with a lease."""
    for runner in world.runners.values():
        if runner.fence is None:
            continue
        load = world.loads.get(runner.fence)
        if load is None or load.runner is not None or runner.id not in load.fenced:
            return f"{runner} is fenced for load {runner.fence}, which does not wait for it"
        if not runner.leases:
            return f"{runner} is fenced and idle, and still there"
    return ""


def bounds_hold(world: World) -> str:
    """Rules 7 and 17: runners, loads and waiting requests stay within their limits.

    A request that comes back after a lost lease was let in before, so it may be one too many.
    """
    if len(world.runners) > world.limits.runners_max:
        return f"{len(world.runners)} runners"
    if sum(1 for _ in world.in_state(RunnerState.LOADING)) > world.limits.loads_parallel_max:
        return "more runners are LOADING than may"
    retried = sum(request.is_retried for request in world.requests.values())
    if world.waiting_count > world.limits.queue_len_max + retried:
        return f"{world.waiting_count} requests wait"
    waiting = sum(len(of_key) for of_key in world.waiting.values())
    if waiting != world.waiting_count:
        return f"{waiting} requests wait, {world.waiting_count} are counted"
    return ""


def shutdown_ends(world: World) -> str:
    """Rule 17: outside OPEN nothing waits, nothing loads, and every runner is on its way out."""
    if world.service.state in (ServiceState.STARTING, ServiceState.OPEN):
        return ""
    if world.loads or world.waiting:
        return "something waits while the service stops"
    staying = [runner for runner in world.runners.values() if runner.state is not RunnerState.UNLOADING]
    return f"{staying} stay while the service stops" if staying else ""


INVARIANTS: tuple[Callable[[World], str], ...] = (
    single_flight,
    bytes_balance,
    leases_balance,
    victims_had_no_lease,
    waits_have_causes,
    stops_have_deadlines,
    work_is_watched,
    slots_are_used,
    fences_have_holders,
    bounds_hold,
    shutdown_ends,
)
