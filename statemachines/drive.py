"""Fires the machines, reports what they did, and carries the consequences from one to the next.

Theory of operation. Every trigger goes through one of the `fire_*` methods here. The machine changes itself and
appends its own effects; then what follows for the others is done in the same step: a runner that leaves LOADING tells
its load, a load that closes tells its claimants, a change that may matter to waiting requests or loads marks them
(`World.to_place`, `to_serve`, `to_plan`) for the scheduler to settle. Nothing is decided here that is not in a table.
"""

from enum import Enum

from statemachines.covers import covers
from statemachines.effects import ReportIgnored, ReportIllegal, ReportStage, ReportTransition
from statemachines.entities import Load, Request, Runner
from statemachines.errors import InternalError
from statemachines.events import ModelLoaded
from statemachines.failures import told
from statemachines.lifecycle import SERVICE, ServiceTrigger
from statemachines.load import LOAD, LoadTrigger
from statemachines.memory import actual
from statemachines.request import REQUEST, RequestTrigger
from statemachines.runner import RUNNER, RunnerTrigger
from statemachines.states import LoadState, RequestState, RunnerState
from statemachines.step import Step
from statemachines.table import Kind, LookupInterpreter, Outcome, Table, TransitionsInterpreter
from statemachines.world import World

_REQUEST = LookupInterpreter(REQUEST)
_LOAD = LookupInterpreter(LOAD)
_RUNNER = TransitionsInterpreter(RUNNER)
_SERVICE = TransitionsInterpreter(SERVICE)


class Driver:
    """Fires machines of one world.

    Args:
        strict: an illegal cell raises instead of condemning the incarnation.
    """

    def __init__(self, world: World, *, strict: bool) -> None:
        self._world = world
        self._strict = strict

    def fire_request(self, request: Request, trigger: RequestTrigger, step: Step, fact: object = None) -> None:
        """Fire one request's machine; a WAITING one that is leased or DONE leaves every queue.

        A grant expects that its slot is booked already (`admission.grant`).
        """
        was_waiting = request.state is RequestState.WAITING
        outcome = _REQUEST.fire(request, trigger, step, fact)
        self._report(REQUEST, request.id, trigger, outcome, step, request.runner)
        if outcome.kind is not Kind.GO:
            return
        if request.state is RequestState.WAITING:
            self._world.enter_waiting(request)
            self._world.to_place[request.key] = None
        elif was_waiting and request.state is RequestState.DONE:
            self._leave_queue(request, step)
        if request.state is RequestState.DONE:
            del self._world.requests[request.id]

    def _leave_queue(self, request: Request, step: Step) -> None:
        load, was_before_a_slot = request.load, request.runner is not None
        self._world.leave_waiting(request)
        if was_before_a_slot:
            # A load may have let it go first.
            self._world.wake_loads()
        if load is not None and load.is_open and not load.claimants:
            self.fire_load(load, LoadTrigger.ABANDONED, step)

    def fire_load(self, load: Load, trigger: LoadTrigger, step: Step, fact: object = None) -> None:
        """Fire one load's machine; one that closes lets its fences fall and its requests be placed anew."""
        incarnation = load.runner
        outcome = _LOAD.fire(load, trigger, step, fact)
        self._report(LOAD, load.id, trigger, outcome, step, incarnation)
        if outcome.kind is not Kind.GO:
            if trigger is LoadTrigger.ABANDONED:
                # From now on it gives way: to those behind it, and to whoever wants its bytes or its place.
                self._world.to_place[load.key] = None
                self._world.wake_loads()
            return
        if load.state is not LoadState.WAITING:
            self._drop_fences(load, step)
        if not load.is_open:
            self._close(load, step)
        self._world.wake_loads()

    def _drop_fences(self, load: Load, step: Step) -> None:
        fenced, load.fenced = load.fenced, {}
        for runner in fenced.values():
            if runner.fence == load.id:
                self.fire_runner(runner, RunnerTrigger.FENCE_DROPPED, step)
                self._mark(runner)
                self._world.to_place[runner.key] = None

    def _close(self, load: Load, step: Step) -> None:
        del self._world.loads[load.id], self._world.open_load[load.key]
        self._world.to_plan.pop(load.id, None)
        self._world.to_place[load.key] = None
        if load.failure is not None:
            for request in tuple(load.claimants.values()):
                self.fire_request(request, RequestTrigger.REFUSED, step, load.failure)

    def fire_runner(self, runner: Runner, trigger: RunnerTrigger, step: Step, fact: object = None) -> None:
        """Fire one runner's machine, and tell its load, the books and the waiting ones what it means for them."""
        stage = runner.stage
        outcome = _RUNNER.fire(runner, trigger, step, fact)
        self._report(RUNNER, runner.id, trigger, outcome, step, runner)
        if outcome.kind is not Kind.GO:
            if runner.stage is not stage:
                step.emit(ReportStage(runner.id, str(runner.stage), str(trigger), outcome.why))
                self._mark(runner)
            return
        if outcome.source is RunnerState.READY:
            del self._world.ready[runner.key]
            self._world.to_place[runner.key] = None
        if outcome.target is RunnerState.READY:
            self._become_ready(runner, step, fact)
        elif outcome.source is RunnerState.LOADING:
            load_trigger, refusal = told(runner, trigger, fact)
            self.fire_load(runner.load, load_trigger, step, refusal)
        if outcome.target is RunnerState.DEAD:
            self._bury(runner)
        self._mark(runner)

    def _become_ready(self, runner: Runner, step: Step, fact: object) -> None:
        assert isinstance(fact, ModelLoaded)
        self._world.ready[runner.key] = runner
        found = actual(fact.report, most_bytes=self._world.ledger.total_bytes) or runner.load.need
        self._world.ledger.use(runner.id, mapped_bytes=found.mapped_bytes, own_bytes=found.own_bytes)
        self.fire_load(runner.load, LoadTrigger.LOADED, step)

    def _bury(self, runner: Runner) -> None:
        del self._world.runners[runner.id]
        self._world.dead.append(runner)
        self._world.ledger.release(runner.id)
        self._world.threads.remove(runner.id)

    def _mark(self, runner: Runner) -> None:
        """What changed about this runner may matter to whoever waits for its slots, its bytes or its place."""
        self._world.to_serve[runner.id] = runner
        self._world.wake_loads()

    def serve_waiting_load(self, load: Load, step: Step) -> bool:
        """Close a WAITING load that a READY runner has come to cover; True if it was so."""
        ready = self._world.ready.get(load.key)
        if ready is None or not ready.is_open or ready.loaded is None or load.state is not LoadState.WAITING:
            return False
        if not covers(ready.loaded, load.options):
            return False
        self.fire_load(load, LoadTrigger.COVERED, step)
        return True

    def raise_fence(self, runner: Runner, load: Load, step: Step) -> None:
        """Fence a busy runner for a load; whoever waited for it is placed anew."""
        load.fenced[runner.id] = runner
        self.fire_runner(runner, RunnerTrigger.FENCE_RAISED, step, load.id)
        self._mark(runner)
        self._world.to_place[runner.key] = None

    def fire_service(self, trigger: ServiceTrigger, step: Step) -> Outcome:
        outcome = _SERVICE.fire(self._world.service, trigger, step)
        self._report(SERVICE, 0, trigger, outcome, step, None)
        return outcome

    def _report(
        self, table: Table, owner: int, trigger: Enum, outcome: Outcome, step: Step, runner: Runner | None
    ) -> None:
        source, target, name = str(outcome.source), str(outcome.target), str(trigger)
        if outcome.kind is Kind.GO:
            step.emit(ReportTransition(table.machine, owner, source, target, name, outcome.why))
        elif outcome.kind is Kind.IGNORE:
            self._world.count(f"ignored_{table.machine}_{name}")
            step.emit(ReportIgnored(table.machine, owner, source, name, outcome.why))
        elif outcome.kind is Kind.ILLEGAL:
            self._world.count("illegal")
            step.emit(ReportIllegal(table.machine, owner, source, name, outcome.why))
            self._condemn(f"{table.machine} {owner}: {source} x {name}: {outcome.why}", runner, step)

    def _condemn(self, what: str, runner: Runner | None, step: Step) -> None:
        """An illegal cell ends the incarnation that it is about, and nothing else."""
        if self._strict:
            raise InternalError(what)
        if runner is not None and runner.is_live:
            self.fire_runner(runner, RunnerTrigger.WEDGED, step)
