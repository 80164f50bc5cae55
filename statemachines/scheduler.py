"""The core: `handle(event)` in, effects out, and the time at which it wants to be asked again.

Theory of operation. One step handles one event:

1. the event reaches the machine it is about, through the driver;
2. what that changed is settled to a fixed point: requests are placed anew, free slots handed out, waiting loads
   planned, until nothing is marked any more (bounded: `plans_per_step_max` plans, the rest is due at once);
3. cores are shared among those who compute now.

Nothing here waits, reads a clock or knows about processes; the same events give the same effects on every machine.
An event about something that is over is dropped and counted. Deadlines are handled only by `DeadlineReached`, after
whatever else happened in time.
"""

from collections.abc import Callable
from typing import Any

from statemachines import events, invariants, views
from statemachines.admission import Admission
from statemachines.covers import covers
from statemachines.deadlines import DeadlineName
from statemachines.drive import Driver
from statemachines.effects import AnyEffect, FinishShutdown, SetThreads
from statemachines.entities import Runner
from statemachines.errors import InternalError, Refusal
from statemachines.facts import LoadFailure, LoadKey
from statemachines.failures import REPLACED, STOPPED_BY_OPERATOR, closed, draining, wedged
from statemachines.lifecycle import ServiceState, ServiceTrigger
from statemachines.limits import Limits
from statemachines.load import LoadTrigger
from statemachines.planning import Planner
from statemachines.runner import RunnerTrigger
from statemachines.snapshot import StateView
from statemachines.states import RunnerState, Stage
from statemachines.step import Step
from statemachines.table import Kind
from statemachines.units import HOST, NS_PER_MS, LeaseId, LoadId, RequestId, RunnerId
from statemachines.world import World

SETTLE_ROUNDS_MAX = 100_000
"""More rounds than any settling needs; reaching it means that two rules undo each other."""

LAG_FORGIVEN_NS = 250 * NS_PER_MS
"""A deadline that is handled later than this was kept by a loop that stood still: half of the interval of beats, so
that less can have hidden none."""

_SILENCES = (DeadlineName.STALL, DeadlineName.WEDGE, DeadlineName.CANCEL_ACK)
"""Deadlines that judge a runner by what it has not said: while our own loop stood still, that lay unread."""

_RUNNER_TRIGGERS: dict[type, RunnerTrigger] = {
    events.SpawnFailed: RunnerTrigger.SPAWN_FAILED,
    events.ModelLoaded: RunnerTrigger.MODEL_LOADED,
    events.LoadFailed: RunnerTrigger.LOAD_FAILED,
    events.LinkLost: RunnerTrigger.LINK_LOST,
}

_RUNNER_DEADLINES = {
    DeadlineName.STALL: RunnerTrigger.LOAD_STALLED,
    DeadlineName.IDLE: RunnerTrigger.IDLE_EXPIRED,
    DeadlineName.DRAIN: RunnerTrigger.DRAIN_LIMIT,
    DeadlineName.TERM: RunnerTrigger.TERM_LIMIT,
    DeadlineName.KILL: RunnerTrigger.KILL_LIMIT,
}


class Scheduler:
    """Every decision of the service.

    Args:
        strict: an illegal cell raises, and all invariants are checked after every step (tests, simulation).
    """

    def __init__(self, limits: Limits, *, strict: bool = False) -> None:
        self._world = World(limits)
        self._driver = Driver(self._world, strict=strict)
        self._admission = Admission(self._world, self._driver)
        self._planner = Planner(self._world, self._driver)
        self._strict = strict
        self._steps = 0
        self._at = 0
        self._handlers: dict[type, Callable[[Any, Step], None]] = {
            events.ServiceOpened: lambda _event, step: self._open(step),
            events.ShutdownOrdered: self._shut_down,
            events.DeadlineReached: lambda _event, step: self._fire_due(step),
            events.RequestArrived: self._admission.arrive,
            events.RequestFinished: self._admission.finish,
            events.OperatorStop: self._stop,
            events.ModelReplaced: self._replace,
            events.SpawnFailed: self._runner_event,
            events.LoadProgressed: self._progress,
            events.ModelLoaded: self._runner_event,
            events.LoadFailed: self._runner_event,
            events.LinkLost: self._runner_event,
            events.ProcessExited: self._exit,
            events.ThreadsChanged: lambda event, _step: self._world.threads.acknowledge(event.runner, event.threads),
            events.RunnerBeat: self._beat,
            events.LeaseEnded: self._admission.end_lease,
            events.DevicesSampled: self._observe,
        }

    # The interface

    def handle(self, event: events.Event) -> tuple[AnyEffect, ...]:
        """Take one event; return what is to be done, in order.

        Raises:
            InternalError: an illegal event in strict mode, or books that contradict each other.
        """
        self._steps += 1
        self._at = max(self._at, event.at)
        step = Step(self._at, self._steps, self._world.limits, self._world.deadlines)
        self._handlers[type(event)](event, step)
        self._settle(step)
        self._share_cores(step)
        self._finish_shutdown(step)
        if self._strict:
            invariants.check(self._world)
        return tuple(step.effects)

    def next_deadline(self) -> int | None:
        """Core time at which `DeadlineReached` is wanted [ns]; None when nothing is armed."""
        return self._world.deadlines.next_due()

    def snapshot(self) -> StateView:
        """Everything, as of the last step."""
        return views.snapshot(self._world, self._at)

    def closed(self, at: int) -> Refusal | None:
        """Why no request would be taken at this moment; None while the service is open."""
        return closed(self._world.service, at)

    def is_key_alive(self, key: LoadKey) -> bool:
        """Whether a load or a runner of this key exists."""
        return key in self._world.open_load or any(runner.key == key for runner in self._world.runners.values())

    # The service

    def _open(self, step: Step) -> None:
        self._driver.fire_service(ServiceTrigger.OPENED, step)

    def _shut_down(self, event: events.ShutdownOrdered, step: Step) -> None:
        """Refuse, withdraw loads, end runners; HTTP closes beside it."""
        trigger = ServiceTrigger.SHUTDOWN_FORCED if event.force else ServiceTrigger.SHUTDOWN
        if self._driver.fire_service(trigger, step).kind is Kind.IGNORE:
            return
        service = self._world.service
        service.gone_by = min(service.gone_by, step.at + self._end_ns(force=event.force))
        refusal = draining(service.gone_by - step.at)
        self._withdraw(refusal, step)
        ordered = RunnerTrigger.SHUTDOWN_FORCED if event.force else RunnerTrigger.SHUTDOWN_ORDERED
        for runner in tuple(self._world.runners.values()):
            self._driver.fire_runner(runner, ordered, step, refusal)

    def _end_ns(self, *, force: bool) -> int:
        """What the end of the service takes at the most."""
        limits = self._world.limits
        return limits.kill_grace_ns + (0 if force else limits.shutdown_drain_ns + limits.stop_grace_ns)

    def _withdraw(self, refusal: Refusal, step: Step) -> None:
        for load in tuple(self._world.waiting_loads()):
            self._driver.fire_load(load, LoadTrigger.FORCED, step, refusal)
        self._admission.refuse_all(refusal, step)

    def _finish_shutdown(self, step: Step) -> None:
        if self._world.service.state is not ServiceState.DRAINING:
            return
        left = tuple(self._world.runners.values())
        if all(runner.stage is Stage.UNREAPABLE for runner in left):
            self._driver.fire_service(ServiceTrigger.EMPTIED, step)
            step.emit(FinishShutdown(tuple(runner.id for runner in left)))

    # Models

    def _of_key(self, key: LoadKey) -> tuple[Runner, ...]:
        return tuple(runner for runner in self._world.runners.values() if runner.key == key)

    def _stop(self, event: events.OperatorStop, step: Step) -> None:
        """Unload when idle, or by force; an unload never loads."""
        trigger = RunnerTrigger.OPERATOR_STOP_FORCED if event.force else RunnerTrigger.OPERATOR_STOP
        if event.force:
            self._force_load(event.key, STOPPED_BY_OPERATOR, step)
        for runner in self._of_key(event.key):
            self._driver.fire_runner(runner, trigger, step, STOPPED_BY_OPERATOR)
        if event.force:
            self._admission.refuse_key(event.key, STOPPED_BY_OPERATOR, step)
        self._world.note_stop(event.key, step.number)

    def _force_load(self, key: LoadKey, refusal: Refusal, step: Step) -> None:
        """The open load of a key that has no process yet is withdrawn; one that has goes with its runner."""
        load = self._world.open_load.get(key)
        if load is not None and load.runner is None:
            self._driver.fire_load(load, LoadTrigger.FORCED, step, refusal)

    def _replace(self, event: events.ModelReplaced, step: Step) -> None:
        """No request reaches the old weights any more; who is being answered is answered to the end."""
        for runner in self._of_key(event.key):
            runner.is_retired = True
            runner.ordered = REPLACED
            loading = runner.state is RunnerState.LOADING
            trigger = RunnerTrigger.OPERATOR_STOP_FORCED if loading else RunnerTrigger.OPERATOR_STOP
            self._driver.fire_runner(runner, trigger, step, REPLACED)
        self._force_load(event.key, REPLACED, step)
        self._admission.refuse_key(event.key, REPLACED, step)

    # Runners

    def _find(self, runner_id: RunnerId) -> Runner | None:
        """A live runner, or a dead one that is still remembered; None is counted."""
        runner = self._world.runners.get(runner_id)
        if runner is None:
            runner = next((dead for dead in self._world.dead if dead.id == runner_id), None)
        if runner is None:
            self._world.count("ignored_runner_unknown")
        return runner

    def _runner_event(self, event: events.RunnerEvent, step: Step) -> None:
        runner = self._find(event.runner)
        if runner is None:
            return
        if isinstance(event, events.ModelLoaded) and not covers(event.loaded, runner.load.options):
            event = events.LoadFailed(
                at=event.at,
                runner=event.runner,
                kind=LoadFailure.ENGINE,
                message="its runner loaded it with other options than it was asked for",
            )
        self._driver.fire_runner(runner, _RUNNER_TRIGGERS[type(event)], step, event)

    def _exit(self, event: events.ProcessExited, step: Step) -> None:
        """A process that took leases with it: each is lost, and what was sent of it is not known any more."""
        runner = self._find(event.runner)
        if runner is None:
            return
        ran_out, bound = event.exit.was_out_of_memory, event.exit.bound
        outcome = events.LeaseOutcome.OUT_OF_MEMORY if ran_out else events.LeaseOutcome.CRASHED
        for lease in tuple(runner.leases):
            lost = events.LeaseEnded(
                at=event.at, runner=runner.id, lease=lease, outcome=outcome, sent=True, bound=bound if ran_out else None
            )
            self._admission.end_lease(lost, step)
        self._driver.fire_runner(runner, RunnerTrigger.PROCESS_EXITED, step, event)

    def _progress(self, event: events.LoadProgressed, step: Step) -> None:
        runner = self._find(event.runner)
        if runner is not None and runner.state is RunnerState.LOADING:
            runner.progress_ppm = event.done_ppm
            step.arm(DeadlineName.STALL, runner.id, self._world.limits.load_stall_ns)

    def _beat(self, event: events.RunnerBeat, step: Step) -> None:
        """Only what was not counted before is progress: a late or doubled beat proves nothing (rule 15)."""
        runner = self._find(event.runner)
        if runner is None:
            return
        runner.engine_step = max(runner.engine_step, event.step)
        if event.progress > runner.work_done:
            runner.work_done = event.progress
            if self._world.deadlines.due_at(DeadlineName.WEDGE, runner.id) is not None:
                step.arm(DeadlineName.WEDGE, runner.id, self._world.limits.wedge_ns)

    def _observe(self, event: events.DevicesSampled, step: Step) -> None:
        resident = None
        if event.resident is not None:
            resident = {found.runner: found.own_bytes for found in event.resident}
        for sample in event.samples:
            if sample.device == HOST:
                self._world.ledger.observe(sample, resident)
                self._planner.relieve(step)
        self._world.wake_loads()

    # Deadlines

    def _fire_due(self, step: Step) -> None:
        armed_by = self._world.deadlines.mark()
        first_due = self._world.deadlines.next_due()
        lag_ns = 0 if first_due is None else step.at - first_due
        while (filed := self._world.deadlines.pop_due(step.at, armed_by=armed_by)) is not None:
            self._fire_deadline(*filed, lag_ns, step)

    def _fire_deadline(self, name: DeadlineName, owner: int, lag_ns: int, step: Step) -> None:
        """Who is judged by silence gets the time that our own loop lost (rule 15)."""
        if lag_ns > LAG_FORGIVEN_NS and name in _SILENCES:
            step.arm(name, owner, lag_ns)
            return
        match name:
            case DeadlineName.WAIT:
                self._admission.expire(RequestId(owner), step)
            case DeadlineName.CANCEL_ACK:
                self._expire_cancel(LeaseId(owner), step)
            case DeadlineName.GRACE | DeadlineName.BACKOFF:
                self._expire_load(name, LoadId(owner), step)
            case DeadlineName.WEDGE:
                self._expire_work(self._world.runners[RunnerId(owner)], step)
            case DeadlineName.PLAN:
                pass  # What is left to plan is planned by every step.
            case _:
                runner = self._world.runners[RunnerId(owner)]
                self._driver.fire_runner(runner, _RUNNER_DEADLINES[name], step)

    def _expire_cancel(self, lease: LeaseId, step: Step) -> None:
        """A runner that went on computing without ending a cancelled lease is wedged; one that stands still is not
        judged here, since it may be in one long step."""
        request, runner = self._world.leases[lease]
        assert request.cancel_step is not None
        if runner.engine_step > request.cancel_step:
            self._driver.fire_runner(runner, RunnerTrigger.WEDGED, step)
        else:
            step.arm(DeadlineName.CANCEL_ACK, lease, self._world.limits.cancel_ack_ns)

    def _expire_work(self, runner: Runner, step: Step) -> None:
        """A busy runner shows nothing."""
        self._driver.fire_runner(runner, RunnerTrigger.WEDGED, step, wedged(self._world.limits.wedge_ns))

    def _expire_load(self, name: DeadlineName, load_id: LoadId, step: Step) -> None:
        load = self._world.loads[load_id]
        if name is DeadlineName.BACKOFF:
            self._driver.fire_load(load, LoadTrigger.BACKOFF_EXPIRED, step)
            self._world.wake_loads()
        else:
            assert load.runner is not None
            self._driver.fire_runner(load.runner, RunnerTrigger.GRACE_EXPIRED, step)

    # Settling

    def _settle(self, step: Step) -> None:
        """Place, serve, plan, in this order, until nothing is marked; so slots are handed on before anything else."""
        world, plans = self._world, 0
        plans_max = world.limits.plans_per_step_max
        for _ in range(SETTLE_ROUNDS_MAX):
            if world.to_place:
                self._admission.place_key(world.to_place.popitem(last=False)[0], step)
            elif world.to_serve:
                self._admission.serve(world.to_serve.popitem(last=False)[1], step)
            elif world.to_plan and plans < plans_max:
                plans += 1
                self._planner.plan(world.next_to_plan(sweeps=2 * plans > plans_max + 1), step)
            else:
                break
        else:
            raise InternalError("settling does not end: two rules undo each other")
        if world.to_plan:
            step.arm(DeadlineName.PLAN, 0, 0)

    def _share_cores(self, step: Step) -> None:
        for runner, threads in self._world.threads.balance(self._world.busy_runners()):
            step.emit(SetThreads(runner, threads))
