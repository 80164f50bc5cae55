"""Every output of the core: imperatives that the executor performs, in order, without waiting.

An effect starts a supervised task or sets a flag; what comes of it returns as an event.
"""

import msgspec

from statemachines.errors import Refusal
from statemachines.facts import LoadKey, LoadOptions
from statemachines.units import LeaseId, LoadId, RequestId, RunnerId


class Effect(msgspec.Struct, frozen=True, tag_field="effect", tag=True):
    """Base of all effects; the tag is the class name."""


# Requests


class GrantLease(Effect, frozen=True):
    """Wake the request's handler with a stream to this runner.

    Attributes:
        waited_load: the load that this request had to wait for, or None when the runner was READY on arrival.
    """

    request: RequestId
    lease: LeaseId
    runner: RunnerId
    waited_load: LoadId | None


class RefuseRequest(Effect, frozen=True):
    """Wake the request's handler with an error.

    Also the core's word on a lease that was lost (`LeaseOutcome` other than FINISHED) while its handler was not done:
    such a handler waits for either a second `GrantLease` or this.
    """

    request: RequestId
    refusal: Refusal


class CancelLease(Effect, frozen=True):
    """Tell the runner to end this lease; it answers with LeaseEnded."""

    lease: LeaseId
    runner: RunnerId


# Runners


class SpawnRunner(Effect, frozen=True):
    """Start (or take from the spare) one process and let it load. Answered by one closing event, sooner or later.

    Attributes:
        model: the name as it is shown to people.
    """

    runner: RunnerId
    load: LoadId
    key: LoadKey
    model: str
    options: LoadOptions
    threads: int


class TerminateRunner(Effect, frozen=True):
    """Ask the process to end: a Shutdown message and SIGTERM."""

    runner: RunnerId


class KillRunner(Effect, frozen=True):
    """End the process: SIGKILL."""

    runner: RunnerId


class SetThreads(Effect, frozen=True):
    """Let the runner compute with this many threads; answered by ThreadsChanged."""

    runner: RunnerId
    threads: int


# Devices and the service


class SampleDevices(Effect, frozen=True):
    """Read memory now rather than at the next interval: bytes have just moved."""


class FinishShutdown(Effect, frozen=True):
    """Every runner is gone, but for those that even SIGKILL did not end."""

    unreapable: tuple[RunnerId, ...]


# Reports: they change nothing, they say what has happened --------------------------------------------------------


class ReportTransition(Effect, frozen=True):
    """A machine went from one state to another; logs, metrics and the journal show it.

    Attributes:
        machine: runner, load, request, device, service.
        id: the machine's own id; runner id for a runner.
        trigger: what moved it.
        why: one sentence for people.
    """

    machine: str
    id: int
    source: str
    target: str
    trigger: str
    why: str = ""


class ReportStage(Effect, frozen=True):
    """A runner that is being stopped has come to another rung; its state is UNLOADING before and after.

    Attributes:
        stage: the new one, of `statemachines.states.Stage`.
    """

    runner: RunnerId
    stage: str
    trigger: str
    why: str


class ReportIgnored(Effect, frozen=True):
    """An event met a machine that is past caring: dropped, counted, journaled."""

    machine: str
    id: int
    state: str
    trigger: str
    reason: str


class ReportIllegal(Effect, frozen=True):
    """An event that must not happen happened: the journal is dumped, a counter raised, that incarnation killed."""

    machine: str
    id: int
    state: str
    trigger: str
    reason: str


AnyEffect = (
    GrantLease
    | RefuseRequest
    | CancelLease
    | SpawnRunner
    | TerminateRunner
    | KillRunner
    | SetThreads
    | SampleDevices
    | FinishShutdown
    | ReportTransition
    | ReportStage
    | ReportIgnored
    | ReportIllegal
)
