"""Which message may come when: one end of the link between the service and a runner.

Theory of operation. Each end keeps one `Link`: bytes in, messages out; a message in, bytes out. It owns the phase of
the conversation, the state of each lease and the number of `SetThreads` that are not answered yet; all three follow
tables that are the same on both ends, read for what was sent as well as for what was received.

Messages of the two ends cross. The tables are made so that whatever one end may send by its own view, the other end
accepts, however the two streams interleave:

- `Shutdown` does not change the phase. It ends what the service may say; what the runner still says is judged as
  before.
- A `Cancel` may cross the end of its lease. A runner answers every Cancel with a LeaseEnded whose reason is
  CANCELLED: a known lease ends that way, an unknown one gets it as an answer. So an end with any other reason leaves a
  Cancel unanswered (`CROSSED`), and both ends know whether one more LeaseEnded is due.
- Without a Cancel a lease ends as CANCELLED only when the runner is stopping. It may have been told so by a signal,
  of which the service knows nothing, so the service takes it at any time, and a runner that stops by a signal hears
  nothing more (`Link.stop`): nothing can cross.

An illegal message of our own is refused with `LocalWireError` and changes nothing. An illegal message of the other
end is a `RemoteWireError`, after which nothing is sent or received any more.
"""

from collections.abc import Iterator, Mapping
from enum import StrEnum
from typing import Generic, TypeVar

from statemachines.errors import LocalWireError, RemoteWireError
from statemachines.units import LeaseId
from statemachines.wire.codec import LIMITS, Decoder, FrameLimits, encode
from statemachines.wire.messages import (
    PROTOCOL_VERSION,
    Beat,
    Cancel,
    EndReason,
    FactsRead,
    FactsRefused,
    Generate,
    Hello,
    LeaseEnded,
    Load,
    LoadFailed,
    Message,
    Progress,
    ReadFacts,
    Ready,
    SetThreads,
    Shutdown,
    ThreadsSet,
    Tokens,
    ToRunner,
    ToService,
)


class Side(StrEnum):
    """The two ends."""

    SERVICE = "service"
    RUNNER = "runner"


class Task(StrEnum):
    """What a runner process was started for; decides which conversation follows the greeting."""

    SERVE = "serve"
    FACTS = "facts"


class Phase(StrEnum):
    """Where the conversation is, as one end sees it."""

    NEW = "new"
    SERVICE_GREETED = "service_greeted"
    RUNNER_GREETED = "runner_greeted"
    IDLE = "idle"
    READING = "reading"
    LOADING = "loading"
    READY = "ready"
    FAILED = "failed"
    CLOSED = "closed"
    BROKEN = "broken"


Rows = Mapping[tuple[Side, type[Message]], Phase]

_S, _R = Side.SERVICE, Side.RUNNER

_GREETING: dict[Phase, Rows] = {
    Phase.NEW: {(_S, Hello): Phase.SERVICE_GREETED, (_R, Hello): Phase.RUNNER_GREETED},
    Phase.SERVICE_GREETED: {(_R, Hello): Phase.IDLE, (_S, Shutdown): Phase.SERVICE_GREETED},
    Phase.RUNNER_GREETED: {(_S, Hello): Phase.IDLE},
    Phase.CLOSED: {},
    Phase.BROKEN: {},
}

_SERVE: dict[Phase, Rows] = {
    Phase.IDLE: {(_S, Load): Phase.LOADING, (_S, Shutdown): Phase.IDLE},
    Phase.LOADING: {
        (_R, Progress): Phase.LOADING,
        (_R, Ready): Phase.READY,
        (_R, LoadFailed): Phase.FAILED,
        (_S, Shutdown): Phase.LOADING,
    },
    Phase.READY: {
        (_S, Generate): Phase.READY,
        (_S, Cancel): Phase.READY,
        (_S, SetThreads): Phase.READY,
        (_S, Shutdown): Phase.READY,
        (_R, Tokens): Phase.READY,
        (_R, LeaseEnded): Phase.READY,
        (_R, ThreadsSet): Phase.READY,
        (_R, Beat): Phase.READY,
    },
    Phase.FAILED: {(_S, Shutdown): Phase.FAILED},
}

_FACTS: dict[Phase, Rows] = {
    Phase.IDLE: {(_S, ReadFacts): Phase.READING, (_S, Shutdown): Phase.IDLE},
    Phase.READING: {
        (_R, FactsRead): Phase.IDLE,
        (_R, FactsRefused): Phase.IDLE,
        (_S, Shutdown): Phase.READING,
    },
}

TABLES: Mapping[Task, Mapping[Phase, Rows]] = {Task.SERVE: _GREETING | _SERVE, Task.FACTS: _GREETING | _FACTS}
"""Phase and message to the next phase, for each task; what is not listed is illegal."""


class LeaseState(StrEnum):
    """One lease, as one end sees it. Leases that are not listed are UNKNOWN: not begun, or over."""

    UNKNOWN = "unknown"
    OPEN = "open"
    CANCELLING = "cancelling"
    CROSSED = "crossed"


class LeaseStep(StrEnum):
    """What a message means to a lease; the last three are one LeaseEnded, by its reason and its moment."""

    GENERATE = "generate"
    CANCEL = "cancel"
    TOKENS = "tokens"
    ENDED = "ended"
    CANCELLED = "cancelled"
    STOPPED = "stopped"


LEASES: Mapping[tuple[LeaseState, LeaseStep], LeaseState] = {
    (LeaseState.UNKNOWN, LeaseStep.GENERATE): LeaseState.OPEN,
    (LeaseState.UNKNOWN, LeaseStep.CANCEL): LeaseState.CROSSED,
    (LeaseState.OPEN, LeaseStep.CANCEL): LeaseState.CANCELLING,
    (LeaseState.OPEN, LeaseStep.TOKENS): LeaseState.OPEN,
    (LeaseState.OPEN, LeaseStep.ENDED): LeaseState.UNKNOWN,
    (LeaseState.OPEN, LeaseStep.STOPPED): LeaseState.UNKNOWN,
    (LeaseState.CANCELLING, LeaseStep.TOKENS): LeaseState.CANCELLING,
    (LeaseState.CANCELLING, LeaseStep.ENDED): LeaseState.CROSSED,
    (LeaseState.CANCELLING, LeaseStep.CANCELLED): LeaseState.UNKNOWN,
    (LeaseState.CANCELLING, LeaseStep.STOPPED): LeaseState.UNKNOWN,
    (LeaseState.CROSSED, LeaseStep.CANCELLED): LeaseState.UNKNOWN,
    (LeaseState.CROSSED, LeaseStep.STOPPED): LeaseState.UNKNOWN,
}
"""Lease and step to the next state; what is not listed is illegal."""

Out = TypeVar("Out", bound=Message)
In = TypeVar("In", bound=Message)


class Link(Generic[Out, In]):
    """One end of the link; made by `service_link` or `runner_link`.

    Attributes:
        phase: where the conversation is.
        peer: the other end's greeting, once it has come.
        is_stopping: the runner has been told to stop.
    """

    def __init__(self, side: Side, task: Task, limits: FrameLimits = LIMITS) -> None:
        self.phase = Phase.NEW
        self.peer: Hello | None = None
        self.is_stopping = False
        self._side = side
        self._other = _R if side is _S else _S
        self._rows = TABLES[task]
        self._limits = limits
        self._decoder: Decoder[In] = Decoder(ToService if side is _S else ToRunner, limits)
        self._leases: dict[LeaseId, LeaseState] = {}
        self._threads_unanswered = 0
        self._is_deaf = False

    @property
    def open_leases(self) -> tuple[LeaseId, ...]:
        """Leases of which a LeaseEnded is still due, oldest first."""
        return tuple(self._leases)

    def may_send(self, message: Out) -> bool:
        """Whether `send` would take this message now."""
        return self._why_not(self._side, message) is None

    def send(self, message: Out) -> bytes:
        """The bytes to write for one message.

        Raises:
            LocalWireError: it is not our turn to say that, or it cannot be packed. Nothing has changed.
        """
        if why := self._why_not(self._side, message):
            raise LocalWireError(f"{self._side} may not send {type(message).__name__}: {why}")
        data = encode(message, self._limits)
        self._commit(self._side, message)
        return data

    def receive(self, data: bytes) -> list[In]:
        """The messages that are complete with ``data``.

        Raises:
            RemoteWireError: the other end broke the protocol. The link is of no further use.
        """
        if self._is_deaf:
            return []
        try:
            return [self._heard(message) for message in self._decoder.feed(data)]
        except RemoteWireError:
            self.phase = Phase.BROKEN
            raise

    def receive_eof(self) -> None:
        """The other end has closed.

        Raises:
            RemoteWireError: it closed in the middle of a message.
        """
        self.phase = Phase.CLOSED
        if not self._is_deaf:
            self._decoder.feed_eof()

    def stop(self) -> None:
        """A signal told this runner to stop: as if Shutdown had come, and nothing that still comes is heard."""
        self.is_stopping = True
        self._is_deaf = True

    def _heard(self, message: In) -> In:
        if why := self._why_not(self._other, message):
            raise RemoteWireError(f"{self._other} may not send {type(message).__name__}: {why}")
        self._commit(self._other, message)
        return message

    def _why_not(self, sender: Side, message: Message) -> str | None:
        """Why a message is illegal now, or None when it is legal.

        1. After Shutdown the service says nothing more.
        2. The phase has no row for it.
        3. A greeting in another version of the protocol.
        4. An answer to a SetThreads that was never sent.
        5. A lease has no row for it.
        """
        if sender is _S and self.is_stopping:  # (1)
            return "it has sent Shutdown"
        if (sender, type(message)) not in self._rows[self.phase]:  # (2)
            return f"the link is {self.phase}"
        if isinstance(message, Hello) and message.protocol != PROTOCOL_VERSION:  # (3)
            return f"it speaks protocol {message.protocol}, this end {PROTOCOL_VERSION}: both must be one installation"
        if isinstance(message, ThreadsSet) and not self._threads_unanswered:  # (4)
            return "no SetThreads is unanswered"
        return self._lease_why_not(message)  # (5)

    def _lease_why_not(self, message: Message) -> str | None:
        for lease, step in self._lease_steps(message):
            state = self._leases.get(lease, LeaseState.UNKNOWN)
            if (state, step) not in LEASES:
                return f"lease {lease} is {state}, which allows no {step}"
        return None

    def _commit(self, sender: Side, message: Message) -> None:
        steps = tuple(self._lease_steps(message))
        self.phase = self._rows[self.phase][sender, type(message)]
        match message:
            case Hello() if sender is self._other:
                self.peer = message
            case Shutdown():
                self.is_stopping = True
            case SetThreads():
                self._threads_unanswered += 1
            case ThreadsSet():
                self._threads_unanswered -= 1
            case _:
                pass
        for lease, step in steps:
            self._move(lease, step)

    def _lease_steps(self, message: Message) -> Iterator[tuple[LeaseId, LeaseStep]]:
        match message:
            case Generate():
                yield message.lease, LeaseStep.GENERATE
            case Cancel():
                yield message.lease, LeaseStep.CANCEL
            case Tokens():
                yield from ((delta.lease, LeaseStep.TOKENS) for delta in message.deltas)
            case LeaseEnded():
                yield message.lease, self._end_step(message.reason)
            case _:
                pass

    def _end_step(self, reason: EndReason) -> LeaseStep:
        if reason is not EndReason.CANCELLED:
            return LeaseStep.ENDED
        may_be_stopping = self.is_stopping or self._side is _S
        return LeaseStep.STOPPED if may_be_stopping else LeaseStep.CANCELLED

    def _move(self, lease: LeaseId, step: LeaseStep) -> None:
        state = LEASES[self._leases.get(lease, LeaseState.UNKNOWN), step]
        if state is LeaseState.UNKNOWN:
            del self._leases[lease]
        else:
            self._leases[lease] = state


def service_link(task: Task, limits: FrameLimits = LIMITS) -> Link[ToRunner, ToService]:
    """The service's end of a link to a runner that was started for ``task``."""
    return Link(Side.SERVICE, task, limits)


def runner_link(task: Task, limits: FrameLimits = LIMITS) -> Link[ToService, ToRunner]:
    """The runner's end of the link."""
    return Link(Side.RUNNER, task, limits)
