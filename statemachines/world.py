"""Everything the core knows, and the indexes that keep its steps short. No decision is taken here."""

from collections import OrderedDict, deque
from collections.abc import Iterable

from statemachines.deadlines import Deadlines
from statemachines.entities import Load, Request, Runner
from statemachines.facts import LoadKey
from statemachines.ledger import Ledger, host_ledger
from statemachines.lifecycle import Service
from statemachines.limits import Limits
from statemachines.queue import Pace
from statemachines.states import RunnerState
from statemachines.threads import ThreadBudget
from statemachines.units import LeaseId, LoadId, RequestId, RunnerId


class World:
    """The state of the core.

    Attributes:
        requests: every request that is not DONE, in order of arrival.
        waiting: of those the WAITING ones, by load key.
        waiting_count: how many those are together [count].
        pace: how fast they are granted.
        stopped: the step of the last operator's stop of a key, while requests wait for it.
        runners: every runner that is not DEAD, in order of birth.
        loads: every open load, in order of birth.
        open_load, ready: the one open load and the one READY runner of a key.
        leases: who holds which lease where.
        to_place: keys whose waiting requests have to be placed anew.
        to_serve: runners that may have a slot to hand out.
        to_plan: WAITING loads that something may have changed for.
        plan_cursor: how far the sweep over them has come; see `next_to_plan`.
        counters: what was ignored, illegal, unknown; for operators.
    """

    def __init__(self, limits: Limits) -> None:
        self.limits = limits
        self.deadlines = Deadlines()
        self.service = Service()
        self.ledger: Ledger = host_ledger(limits)
        self.threads = ThreadBudget(limits.cpu_threads)
        self.requests: dict[RequestId, Request] = {}
        self.waiting: dict[LoadKey, dict[RequestId, Request]] = {}
        self.waiting_count = 0
        self.pace = Pace()
        self.stopped: dict[LoadKey, int] = {}
        self.runners: dict[RunnerId, Runner] = {}
        self.dead: deque[Runner] = deque(maxlen=limits.dead_kept)
        self.loads: dict[LoadId, Load] = {}
        self.open_load: dict[LoadKey, Load] = {}
        self.ready: dict[LoadKey, Runner] = {}
        self.leases: dict[LeaseId, tuple[Request, Runner]] = {}
        self.to_place: OrderedDict[LoadKey, None] = OrderedDict()
        self.to_serve: OrderedDict[RunnerId, Runner] = OrderedDict()
        self.to_plan: dict[LoadId, Load] = {}
        self.plan_cursor = LoadId(0)
        self.counters: dict[str, int] = {}
        self._born = {"lease": 0, "load": 0, "runner": 0}

    def count(self, what: str) -> None:
        self.counters[what] = self.counters.get(what, 0) + 1

    def next_lease(self) -> LeaseId:
        return LeaseId(self._next("lease"))

    def next_load(self) -> LoadId:
        return LoadId(self._next("load"))

    def next_runner(self) -> RunnerId:
        return RunnerId(self._next("runner"))

    def _next(self, kind: str) -> int:
        self._born[kind] += 1
        return self._born[kind]

    # Waiting requests

    def enter_waiting(self, request: Request) -> None:
        if not self.waiting_count:
            self.pace.begin(request.waiting_since)
        self.waiting.setdefault(request.key, {})[request.id] = request
        self.waiting_count += 1

    def leave_waiting(self, request: Request) -> None:
        """Out of the index and out of wherever it was placed."""
        self.unplace(request)
        of_key = self.waiting[request.key]
        del of_key[request.id]
        if not of_key:
            del self.waiting[request.key]
            self.stopped.pop(request.key, None)
        self.waiting_count -= 1

    def unplace(self, request: Request) -> None:
        """Take a WAITING request from the runner or load where it waits."""
        if request.runner is not None:
            request.runner.waiters.pop(request.id, None)
        if request.load is not None:
            request.load.claimants.pop(request.id, None)
        if request.behind is not None:
            request.behind.behind.pop(request.id, None)
        request.runner = request.load = request.behind = None

    def note_stop(self, key: LoadKey, step_number: int) -> None:
        """An operator's stop counts for those who wait now, also when their runner is yet to be born."""
        if key in self.waiting:
            self.stopped[key] = max(step_number, self.stopped.get(key, -1))

    # What has changed

    def wake_loads(self) -> None:
        """Something came free, or somebody's turn changed: every WAITING load is considered again (rule 6)."""
        for load in self.waiting_loads():
            self.to_plan[load.id] = load

    def next_to_plan(self, *, sweeps: bool) -> Load:
        """Take the oldest load that is marked, or (``sweeps``) the oldest beyond the last one that was taken so.

        The oldest have the first word in every step; the sweep sees to it that everybody has his some time, however
        often all are marked anew.
        """
        beyond = [load for load in self.to_plan if load > self.plan_cursor] if sweeps else []
        chosen = min(beyond or self.to_plan)
        if sweeps:
            self.plan_cursor = chosen
        return self.to_plan.pop(chosen)

    # What there is

    def waiting_loads(self) -> Iterable[Load]:
        return (load for load in self.loads.values() if load.runner is None)

    def in_state(self, state: RunnerState) -> Iterable[Runner]:
        return (runner for runner in self.runners.values() if runner.state is state)

    def busy_runners(self) -> list[RunnerId]:
        """Those that compute for somebody, in order of birth."""
        return [runner.id for runner in self.runners.values() if runner.leases]
