"""Every input of the core: facts in the past tense, with the time at which the reactor took them up.

An event about a runner carries its incarnation's id, so that a late or doubled one meets a runner that is past
caring. None carries text of a prompt or an answer. ``at`` is monotonic time [ns], stamped by the reactor at dequeue.
"""

from enum import StrEnum

import msgspec

from statemachines.facts import AllocationReport, LoadedFacts, LoadFailure, LoadKey, LoadOptions, ModelSizes
from statemachines.units import DeviceId, LeaseId, RequestId, RunnerId


class Event(msgspec.Struct, frozen=True, tag_field="event", tag=True, kw_only=True):
    """Base of all events; the tag is the class name."""

    at: int = 0


# The service


class ServiceOpened(Event, frozen=True):
    """The devices are known and the listener is bound: requests may come."""


class ShutdownOrdered(Event, frozen=True):
    """Stop. The first one drains; one with ``force`` (a second signal) kills at once."""

    force: bool = False


class DeadlineReached(Event, frozen=True):
    """The moment that `Scheduler.next_deadline` named has come."""


# Requests


class RequestArrived(Event, frozen=True):
    """A request wants a lease on a runner of a model.

    Attributes:
        model: the name as it is shown to people; decides nothing.
        sizes: the numbers from which its memory is planned.
        keep_alive_ns: None when the request named none; 0 unloads when idle; `FOREVER_NS` never expires.
    """

    request: RequestId
    model: str
    key: LoadKey
    wanted: LoadOptions
    sizes: ModelSizes
    keep_alive_ns: int | None = None


class RequestFinished(Event, frozen=True):
    """The request's handler has ended: answered, refused, or its client left. The last word about a request."""

    request: RequestId


class OperatorStop(Event, frozen=True):
    """Somebody asked to unload a model: when it is idle, or within `drain_ns` with ``force``."""

    key: LoadKey
    force: bool = False


class ModelReplaced(Event, frozen=True):
    """The file behind a key is not there any more, or is another one: no request may reach the old weights."""

    key: LoadKey


# Runners


class RunnerEvent(Event, frozen=True):
    """Base of all events about one incarnation."""

    runner: RunnerId


class SpawnFailed(RunnerEvent, frozen=True):
    """The process could not be started; there is nothing to reap. A closing event."""

    message: str


class LoadProgressed(RunnerEvent, frozen=True):
    """The load is alive and this far [parts per million]."""

    done_ppm: int


class ModelLoaded(RunnerEvent, frozen=True):
    """The runner holds the model and can generate."""

    loaded: LoadedFacts
    report: AllocationReport


class MemoryBound(msgspec.Struct, frozen=True):
    """A limit that the system holds a process to.

    Attributes:
        limit_bytes: how much it may have [bytes].
        kind: what it is a limit of, as the end of the sentence "a limit ...".
    """

    limit_bytes: int
    kind: str


class LoadFailed(RunnerEvent, frozen=True):
    """The runner says that it cannot load; its process is about to exit.

    Attributes:
        bound: the tightest limit on its memory; None without one.
    """

    kind: LoadFailure
    message: str
    bound: MemoryBound | None = None


class LinkLost(RunnerEvent, frozen=True):
    """The link ended or broke the protocol while the process lives on."""

    message: str


class Exit(msgspec.Struct, frozen=True):
    """How a process ended.

    Attributes:
        status: exit status, or minus the signal's number.
        was_out_of_memory: the kernel's or a limit's own record says that memory ran out.
        stderr_tail: its last lines, for logs and operators only.
        bound: the tightest limit on its memory; None without one.
    """

    status: int
    was_out_of_memory: bool = False
    stderr_tail: str = ""
    bound: MemoryBound | None = None


class ProcessExited(RunnerEvent, frozen=True):
    """The process was reaped and its link read to the end. A closing event."""

    exit: Exit


class ThreadsChanged(RunnerEvent, frozen=True):
    """The runner uses this many threads from now on [count]."""

    threads: int


class RunnerBeat(RunnerEvent, frozen=True):
    """A busy runner shows what it has got done; see `statemachines.wire.messages.Beat`."""

    step: int
    progress: int


class LeaseOutcome(StrEnum):
    """How a lease ended."""

    FINISHED = "finished"
    CANCELLED = "cancelled"
    CRASHED = "crashed"
    OUT_OF_MEMORY = "out_of_memory"


class LeaseEnded(RunnerEvent, frozen=True):
    """The slot is free: by the runner's word, by the link for a generate never written, or by the runner's exit.

    Attributes:
        sent: something of the answer has reached the client; set by the stream that writes to the client.
        bound: the tightest limit on the memory of a runner that ran out of it; None without one.
    """

    lease: LeaseId
    outcome: LeaseOutcome
    sent: bool
    bound: MemoryBound | None = None


# Devices


class DeviceSample(msgspec.Struct, frozen=True):
    """What one device said of its memory [bytes].

    Attributes:
        free_bytes: for the host: what can be had without swapping, page cache included.
        source: who said so, for operators.
    """

    device: DeviceId
    total_bytes: int
    free_bytes: int
    source: str


class Resident(msgspec.Struct, frozen=True):
    """Own bytes of one runner's process that were resident when the host was sampled [bytes]."""

    runner: RunnerId
    own_bytes: int


class DevicesSampled(Event, frozen=True):
    """Fresh figures of memory.

    Attributes:
        resident: what the runners' processes had of it, where a missing one had nothing; None when nobody knows.
    """

    samples: tuple[DeviceSample, ...]
    resident: tuple[Resident, ...] | None = None


AnyEvent = (
    ServiceOpened
    | ShutdownOrdered
    | DeadlineReached
    | RequestArrived
    | RequestFinished
    | OperatorStop
    | ModelReplaced
    | SpawnFailed
    | LoadProgressed
    | ModelLoaded
    | LoadFailed
    | LinkLost
    | ProcessExited
    | ThreadsChanged
    | RunnerBeat
    | LeaseEnded
    | DevicesSampled
)
