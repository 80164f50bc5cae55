"""Who lives in the core: the request, the load and the runner, as plain objects with an identity.

They know one another (a runner its leases, a load its claimants, a request where it waits), so they stand in one
place. What happens to them is decided by their tables in `request`, `load` and `runner`; nothing here changes state.
"""

from collections import OrderedDict

from statemachines.causes import PLANNING, Wait
from statemachines.errors import Refusal
from statemachines.events import RequestArrived
from statemachines.facts import LoadedFacts, LoadKey, LoadOptions
from statemachines.memory import HostNeed
from statemachines.states import LoadState, RequestState, RunnerState, Stage
from statemachines.units import LeaseId, LoadId, RequestId, RunnerId


class Request:
    """One request.

    Attributes:
        arrival: the event that brought it.
        arrived_step: orders it among all others, also after a retry.
        runner: where it waits for a slot, or where its lease is.
        load, behind: the load that it claims, or that is in its way.
        waited_load: the load that it had to wait for, for the handler's load duration.
        lease: its lease while it holds a slot.
        waiting_since: core time since when it waits, again after a lost lease [ns].
        is_retried: it was lost once already.
        is_unsent: its lease was lost by a crash before anything reached the client.
    """

    __slots__ = (
        "arrival",
        "arrived_step",
        "behind",
        "cancel_step",
        "granted_at",
        "is_retried",
        "is_unsent",
        "lease",
        "load",
        "runner",
        "state",
        "waited_load",
        "waiting_since",
    )

    def __init__(self, arrival: RequestArrived, step_number: int, *, at: int) -> None:
        self.arrival = arrival
        self.arrived_step = step_number
        self.waiting_since = at
        self.state = RequestState.WAITING
        self.runner: Runner | None = None
        self.load: Load | None = None
        self.behind: Load | None = None
        self.waited_load: LoadId | None = None
        self.lease: LeaseId | None = None
        self.granted_at: int | None = None
        self.cancel_step: int | None = None
        self.is_retried = False
        self.is_unsent = False

    def __repr__(self) -> str:
        return f"<Request {self.id} {self.arrival.model} {self.state}>"

    @property
    def id(self) -> RequestId:
        return self.arrival.request

    @property
    def key(self) -> LoadKey:
        return self.arrival.key

    @property
    def wanted(self) -> LoadOptions:
        return self.arrival.wanted


class Load:
    """One wish for a loaded model.

    Attributes:
        need: bytes it will hold on the host, by formula or by what an earlier load taught.
        room_bytes: what could be had when its latest incarnation was started.
        turn: the step of arrival of the oldest request that ever claimed it; who came earlier is served before it.
        claimants, behind: requests that it will serve, and those that wait for it to get out of the way; in order.
        runner: its incarnation while STARTING.
        fenced: the runners on which it raised a fence.
        attempts: incarnations that it has had [count].
        wait: why it waits, while WAITING.
        failure: what its claimants are told when it closes unserved.
    """

    __slots__ = (
        "attempts",
        "attempts_max",
        "behind",
        "claimants",
        "failure",
        "fenced",
        "id",
        "key",
        "model",
        "need",
        "opened_at",
        "options",
        "room_bytes",
        "runner",
        "state",
        "turn",
        "wait",
    )

    def __init__(
        self,
        load: LoadId,
        key: LoadKey,
        model: str,
        options: LoadOptions,
        need: HostNeed,
        *,
        at: int,
        attempts_max: int,
    ) -> None:
        self.id = load
        self.key = key
        self.model = model
        self.options = options
        self.need = need
        self.opened_at = at
        self.room_bytes = 0
        self.turn: int | None = None
        self.attempts_max = attempts_max
        self.state = LoadState.WAITING
        self.claimants: dict[RequestId, Request] = {}
        self.behind: dict[RequestId, Request] = {}
        self.runner: Runner | None = None
        self.fenced: dict[int, Runner] = {}
        self.attempts = 0
        self.wait: Wait = PLANNING
        self.failure: Refusal | None = None

    def __repr__(self) -> str:
        return f"<Load {self.id} {self.model} {self.state} claimants={len(self.claimants)}>"

    @property
    def is_open(self) -> bool:
        return self.state in (LoadState.WAITING, LoadState.STARTING)


class Runner:
    """One incarnation.

    Attributes:
        load: the load it was started for.
        leases: what runs on it, in order of grant.
        waiters: requests that wait for one of its slots, in turn. Ordered by a list of its own, because they leave at
            the front, where a plain dictionary only gets slower.
        fence: the load that wants its bytes, its key or its place.
        is_retired: the file behind it was replaced: it takes no new request.
        stopped_at_step: the step of the last operator's stop; outranks the keep-alive of requests that came before.
        ordered: why we stopped it ourselves; its lost requests are told this and are not tried again.
        idle_since: core time since when it has no lease [ns]; None while it has one or is LOADING.
        lost_as: what requests that are lost with it are told, when more is known than that it ended.
        engine_step: engine steps it has reported [count].
        work_done: the highest count of work that it has reported; see `RunnerBeat.progress`.
    """

    __slots__ = (
        "born_at",
        "engine_step",
        "fence",
        "id",
        "idle_since",
        "is_retired",
        "keep_alive_ns",
        "leases",
        "load",
        "loaded",
        "lost_as",
        "ordered",
        "progress_ppm",
        "stage",
        "state",
        "stopped_at_step",
        "waiters",
        "work_done",
    )

    def __init__(self, runner: RunnerId, load: "Load", *, at: int, keep_alive_ns: int) -> None:
        self.id = runner
        self.load = load
        self.born_at = at
        self.keep_alive_ns = keep_alive_ns
        self.state = RunnerState.LOADING
        self.stage = Stage.NONE
        self.loaded: LoadedFacts | None = None
        self.leases: dict[LeaseId, Request] = {}
        self.waiters: OrderedDict[RequestId, Request] = OrderedDict()
        self.fence: LoadId | None = None
        self.is_retired = False
        self.stopped_at_step = -1
        self.ordered: Refusal | None = None
        self.lost_as: Refusal | None = None
        self.idle_since: int | None = None
        self.progress_ppm = 0
        self.engine_step = 0
        self.work_done = 0

    def __repr__(self) -> str:
        return f"<Runner {self.id} {self.model} {self.state} {self.stage} leases={len(self.leases)}>"

    @property
    def key(self) -> LoadKey:
        return self.load.key

    @property
    def model(self) -> str:
        return self.load.model

    @property
    def free_slots(self) -> int:
        """Slots that a grant may take now [count]."""
        return self.loaded.slots - len(self.leases) if self.is_open and self.loaded is not None else 0

    @property
    def is_open(self) -> bool:
        """It is READY and takes new requests."""
        return self.state is RunnerState.READY and self.fence is None and not self.is_retired

    @property
    def is_live(self) -> bool:
        return self.state is not RunnerState.DEAD

    @property
    def is_leaving(self) -> bool:
        """Its bytes and its place will come free without anybody doing more."""
        if self.state is RunnerState.UNLOADING:
            return self.stage is not Stage.UNREAPABLE
        return self.state is RunnerState.READY and self.fence is not None
