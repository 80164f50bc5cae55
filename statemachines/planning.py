"""Waiting loads are planned: started, given victims and fences, refused, or told what they wait for.

Theory of operation. Whenever something came free or somebody's turn changed, every WAITING load is marked; a step
plans at most `plans_per_step_max` of them (`World.next_to_plan`: half of them the oldest, half in a sweep over all),
and the rest is due in the next step. Bytes and places are given in order of birth: what earlier loads need is
subtracted before a later one is looked at, so a later one starts only when the earlier one's sums still hold.
"""

from itertools import takewhile

from statemachines.causes import Cause, Wait
from statemachines.deadlines import DeadlineName
from statemachines.drive import Driver
from statemachines.effects import SpawnRunner
from statemachines.entities import Load, Runner
from statemachines.eviction import Candidate, Shortfall, choose_idle
from statemachines.failures import never_fits
from statemachines.load import LoadTrigger
from statemachines.placement import Decision, KeyHold, Room, decide
from statemachines.runner import RunnerTrigger, is_idle
from statemachines.states import RunnerState, Stage
from statemachines.step import Step
from statemachines.threads import THREADS_WHILE_LOADING
from statemachines.world import World

_NEEDS_ONLY_A_LOAD_PLACE = frozenset({Cause.LOAD_PLACE, Cause.PLANNING})


class Planner:
    """Plans the waiting loads of one world."""

    def __init__(self, world: World, driver: Driver) -> None:
        self._world = world
        self._driver = driver

    def plan(self, load: Load, step: Step) -> None:
        """Plan one WAITING load.

        (1) In its back-off: it waits for that, and nobody waits for it.
        (2) The READY runner of its key is fenced by another load: it waits until that one has left or is free again
            (then the placing of its requests closes it before it is planned).
        (3) Otherwise the placement decides.
        """
        until = self._world.deadlines.due_at(DeadlineName.BACKOFF, load.id)
        if until is not None:  # (1)
            self._wait(load, Wait(Cause.BACKOFF, until=until))
            return
        ready = self._world.ready.get(load.key)
        if ready is not None and ready.fence is not None and ready.fence != load.id:  # (2)
            self._wait(load, Wait(Cause.FENCE, (f"runner {ready.id}", f"load {ready.fence}")))
            return
        self._act(load, self._decide(load, ready), step)  # (3)

    def _decide(self, load: Load, ready: Runner | None) -> Decision:
        may_go = ready is not None and ready.fence is None and not _serves_earlier(ready, load)
        others = [runner for runner in self._world.runners.values() if runner is not ready]
        idle = [(runner, self._candidate(runner)) for runner in others if _may_be_victim(runner)]
        return decide(
            load.need.total_bytes,
            self._room(load),
            idle=[candidate for _, candidate in idle],
            busy=[self._candidate(runner) for runner in others if _may_be_fenced(runner, load)],
            key=KeyHold(
                holder=self._candidate(ready) if ready is not None and may_go else None,
                is_idle=ready is not None and is_idle(ready),
                is_held=ready is not None,
                serves_earlier=ready is not None and _serves_earlier(ready, load),
            ),
            serves_earlier=any(_serves_earlier(runner, load) for runner in self._world.runners.values()),
            yielding=[candidate for runner, candidate in idle if _is_loading_for_nobody(runner)],
        )

    def relieve(self, step: Step) -> None:
        """A device over its budget through others' acts loses idle runners; leases go on (rule 2)."""
        world = self._world
        coming_bytes = sum(world.ledger.held_by(runner.id) for runner in world.runners.values() if runner.is_leaving)
        over = Shortfall(-(world.ledger.free_bytes + coming_bytes), 0)
        idle = [self._candidate(runner) for runner in world.runners.values() if _may_be_victim(runner)]
        for victim in choose_idle(over, idle):
            self._driver.fire_runner(world.runners[victim.runner], RunnerTrigger.VICTIM_CHOSEN, step)

    def _candidate(self, runner: Runner) -> Candidate:
        oldest = min((request.granted_at or 0 for request in runner.leases.values()), default=runner.born_at)
        return Candidate(
            runner.id,
            self._world.ledger.held_by(runner.id),
            oldest if runner.idle_since is None else runner.idle_since,
            len(runner.waiters),
        )

    def _room(self, load: Load) -> Room:
        world, ledger = self._world, self._world.ledger
        leaving = [runner for runner in world.runners.values() if runner.is_leaving]
        earlier = self._earlier(load)
        reapable = (runner for runner in world.runners.values() if runner.stage is not Stage.UNREAPABLE)
        return Room(
            free_bytes=ledger.free_bytes,
            free_places=world.limits.runners_max - len(world.runners),
            coming_bytes=sum(ledger.held_by(runner.id) for runner in leaving),
            coming_places=len(leaving),
            owed_bytes=sum(other.need.total_bytes for other in earlier),
            owed_places=len(earlier),
            capacity_bytes=ledger.free_bytes + sum(ledger.held_by(runner.id) for runner in reapable),
            load_places=world.limits.loads_parallel_max - sum(1 for _ in world.in_state(RunnerState.LOADING)),
            owed_load_places=sum(other.wait.cause in _NEEDS_ONLY_A_LOAD_PLACE for other in earlier),
        )

    def _earlier(self, load: Load) -> list[Load]:
        """The waiting loads that have their turn before this one; one in its back-off is owed nothing."""
        older = takewhile(lambda other: other.id < load.id, self._world.loads.values())
        backing_off = self._world.deadlines.due_at
        return [
            other for other in older if other.runner is None and backing_off(DeadlineName.BACKOFF, other.id) is None
        ]

    def _act(self, load: Load, decision: Decision, step: Step) -> None:
        if decision.never_fits:
            refusal = never_fits(load, self._room(load).capacity_bytes, self._world.ledger.budget_bytes)
            self._driver.fire_load(load, LoadTrigger.LOAD_REFUSED, step, refusal)
            return
        if decision.starts:
            self._start(load, step)
            return
        for victim in decision.victims:
            self._driver.fire_runner(self._world.runners[victim], RunnerTrigger.VICTIM_CHOSEN, step)
        for fence in decision.fences:
            self._driver.raise_fence(self._world.runners[fence], load, step)
        assert decision.cause is not None
        self._wait(load, Wait(decision.cause, self._holders(load, decision.cause)))

    def _wait(self, load: Load, wait: Wait) -> None:
        """Name what it waits for; when it stops to claim a load place, those behind it may have that."""
        gives_way = load.wait.cause in _NEEDS_ONLY_A_LOAD_PLACE and wait.cause not in _NEEDS_ONLY_A_LOAD_PLACE
        load.wait = wait
        if gives_way:
            self._world.wake_loads()

    def _start(self, load: Load, step: Step) -> None:
        """Bytes first, then the process: a runner is born LOADING."""
        world = self._world
        stopped_at_step = world.stopped.get(load.key, -1)
        is_stopped = all(claimant.arrived_step < stopped_at_step for claimant in load.claimants.values())
        keep_alive_ns = 0 if is_stopped else self._keep_alive_ns()
        runner = Runner(world.next_runner(), load, at=step.at, keep_alive_ns=keep_alive_ns)
        runner.stopped_at_step = stopped_at_step
        world.runners[runner.id] = runner
        load.room_bytes = world.ledger.free_bytes
        world.ledger.reserve(runner.id, mapped_bytes=load.need.mapped_bytes, own_bytes=load.need.own_bytes)
        world.threads.add(runner.id)
        step.arm(DeadlineName.STALL, runner.id, world.limits.load_stall_ns)
        self._driver.fire_load(load, LoadTrigger.STARTED, step, runner)
        step.emit(SpawnRunner(runner.id, load.id, load.key, load.model, load.options, THREADS_WHILE_LOADING))

    def _keep_alive_ns(self) -> int:
        limits = self._world.limits
        return min(limits.keep_alive_default_ns, limits.keep_alive_max_ns)

    def _holders(self, load: Load, cause: Cause) -> tuple[str, ...]:
        world = self._world
        if cause is Cause.EARLIER_LOADS:
            return tuple(f"load {other.id}" for other in self._earlier(load))
        if cause is Cause.LOAD_PLACE:
            return tuple(f"runner {runner.id}" for runner in world.in_state(RunnerState.LOADING))
        if cause is Cause.KEY:
            return tuple(f"runner {runner.id}" for runner in world.runners.values() if runner.key == load.key)
        if cause is Cause.EARLIER_REQUESTS:
            return tuple(f"runner {runner.id}" for runner in world.runners.values() if _serves_earlier(runner, load))
        leaving = tuple(f"runner {runner.id}" for runner in world.runners.values() if runner.is_leaving)
        return leaving or tuple(f"runner {runner.id}" for runner in world.runners.values())


def _may_be_victim(runner: Runner) -> bool:
    """READY and idle, or LOADING for nobody."""
    return _is_loading_for_nobody(runner) or (runner.state is RunnerState.READY and is_idle(runner))


def _is_loading_for_nobody(runner: Runner) -> bool:
    return runner.state is RunnerState.LOADING and not runner.load.claimants


def _may_be_fenced(runner: Runner, load: Load) -> bool:
    """READY, busy, not fenced already, and with nobody waiting for it who came before the load's first claimant."""
    is_busy = runner.state is RunnerState.READY and runner.fence is None and not is_idle(runner)
    return is_busy and not _serves_earlier(runner, load)


def _serves_earlier(runner: Runner, load: Load) -> bool:
    """Bytes are given in order of arrival: a fence does not overtake requests that came before it.

    Otherwise two models with a queue each would evict each other after every single request.
    """
    oldest = next(iter(runner.waiters.values()), None)
    return oldest is not None and load.turn is not None and oldest.arrived_step < load.turn
