"""What the core looks like from outside, frozen: the shapes behind `/debug/state`, `/api/ps` and log lines.

Times are core time (`Event.at`, monotonic [ns]); the reader turns them into wall time. No text of any prompt or
answer is in here, because none ever reaches the core.
"""

import msgspec

from statemachines.facts import LoadedFacts, LoadKey
from statemachines.states import LoadState, RequestState, RunnerState, Stage
from statemachines.units import DeviceId, LeaseId, LoadId, RequestId, RunnerId


class CauseView(msgspec.Struct, frozen=True):
    """Why something waits.

    Attributes:
        cause: the name, one of `statemachines.causes.Cause`.
        holders: who holds what is waited for, such as ``runner 3`` or ``load 7``.
        words: the same in a sentence.
        until: when this wait ends at the latest by itself, or None when only the request's own deadline bounds it.
    """

    cause: str
    holders: tuple[str, ...]
    words: str
    until: int | None = None


class DeadlineView(msgspec.Struct, frozen=True):
    """An armed deadline: its name and when it is due."""

    name: str
    due: int


class LeaseView(msgspec.Struct, frozen=True):
    lease: LeaseId
    request: RequestId
    granted_at: int
    is_cancelled: bool


class RunnerView(msgspec.Struct, frozen=True):
    """One incarnation. ``expires_at`` is None while busy, loading or without an end."""

    runner: RunnerId
    model: str
    key: LoadKey
    load: LoadId
    state: RunnerState
    stage: Stage
    loaded: LoadedFacts | None
    context_tokens: int
    fence: LoadId | None
    leases: tuple[LeaseView, ...]
    waiters: tuple[RequestId, ...]
    keep_alive_ns: int
    expires_at: int | None
    deadlines: tuple[DeadlineView, ...]
    progress_ppm: int
    threads: int
    mapped_bytes: int
    own_bytes: int
    born_at: int


class LoadView(msgspec.Struct, frozen=True):
    """One open load. ``deadline`` is when the last of its claimants stops waiting; None when only its grace runs."""

    load: LoadId
    model: str
    key: LoadKey
    state: LoadState
    cause: CauseView | None
    claimants: tuple[RequestId, ...]
    attempts: int
    runner: RunnerId | None
    deadlines: tuple[DeadlineView, ...]
    deadline: int | None
    opened_at: int


class RequestView(msgspec.Struct, frozen=True):
    """``position`` counts the requests that are before it for the same runner or load [count]."""

    request: RequestId
    model: str
    state: RequestState
    cause: CauseView | None
    runner: RunnerId | None
    load: LoadId | None
    lease: LeaseId | None
    position: int
    arrived_at: int
    deadline: int | None


class DeviceView(msgspec.Struct, frozen=True):
    """Bytes of one device; ``budget_bytes`` is what runners may hold together."""

    device: DeviceId
    state: str
    total_bytes: int
    free_bytes: int
    budget_bytes: int
    reserved_bytes: int
    used_bytes: int
    returning_bytes: int
    source: str


class StateView(msgspec.Struct, frozen=True):
    """Everything at one moment."""

    at: int
    service: str
    runners: tuple[RunnerView, ...]
    dead: tuple[RunnerView, ...]
    loads: tuple[LoadView, ...]
    requests: tuple[RequestView, ...]
    devices: tuple[DeviceView, ...]
    counters: dict[str, int]
