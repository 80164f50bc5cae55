"""What the shell needs from the world, as protocols: each has one real implementation and one tested fake.

The real ones are chosen in `service.parts`, the fakes live in `tests/fakes/`; nothing else knows which it talks to.
"""

from collections.abc import Awaitable, Callable, Mapping
from contextlib import AbstractAsyncContextManager
from typing import Protocol

from service.environment import EnvironmentClass
from statemachines.effects import AnyEffect, SpawnRunner
from statemachines.events import AnyEvent, DevicesSampled, Exit, MemoryBound
from statemachines.units import RequestId, RunnerId
from statemachines.wire.messages import LeaseEnded


class Clock(Protocol):
    """Monotonic time for decisions, wall time for people."""

    def now_ns(self) -> int: ...

    def wall_ns(self) -> int: ...

    def deadline(self, due_ns: int | None) -> float:
        """The trio deadline of a moment; None never comes."""


class Ids(Protocol):
    """Names for requests: a number for the core, a string for `X-Request-Id`."""

    def next_request(self) -> RequestId: ...

    def label(self, request: RequestId) -> str: ...


class Devices(Protocol):
    """Reads memory figures; may block, so it is called from a thread."""

    def sample(self, pids: Mapping[RunnerId, int]) -> DevicesSampled:
        """The devices' figures and, of these runner processes, what is resident already."""
        ...


class Journal(Protocol):
    """Keeps what went in and what came out."""

    def write(self, event: AnyEvent, effects: tuple[AnyEffect, ...]) -> None: ...

    def dump(self, why: str) -> None: ...


class ByteLink(Protocol):
    """A two-way byte stream to a runner."""

    @property
    def fd(self) -> int:
        """Its descriptor in this process, for the log; -1 when it is closed."""

    def send_now(self, data: bytes) -> bytes:
        """Write what can be written without waiting, and return the rest: all of it where the link is of no use."""
        ...

    async def send(self, data: bytes) -> None:
        """Write all of ``data``; a send that was cancelled leaves a link that is of no use any more.

        Raises:
            trio.BrokenResourceError: the runner's end is gone.
            trio.ClosedResourceError: our end is closed.
        """

    async def receive(self) -> bytes:
        """What has come, waiting for it; ``b""`` at the end, however it came about.

        Raises:
            trio.ClosedResourceError: our end is closed.
        """

    async def aclose(self) -> None:
        """Let go of the runner, which then ends; safe to call twice."""


class Process(Protocol):
    """One started runner process."""

    @property
    def pid(self) -> int: ...

    @property
    def link(self) -> ByteLink: ...

    @property
    def has_ended(self) -> bool:
        """Whether the system has seen its end, whoever has been told of it so far."""

    @property
    def is_stopped(self) -> bool:
        """Whether somebody holds it still (SIGSTOP, a debugger), so that it hears of nothing."""

    def memory_bound(self) -> MemoryBound | None:
        """The tightest limit on its memory that the system holds it to, as it is now; of one that is gone, as it was.

        To be asked once it has greeted: until then it may still be on its way to where it is to live.
        """

    def terminate(self) -> None:
        """SIGTERM: end in an orderly way. Without effect on a process that is gone."""

    def kill(self) -> None:
        """SIGKILL. Without effect on a process that is gone."""

    def wait(self) -> Awaitable[Exit]:
        """How it ended, once it is reaped; the same answer every time."""


def unheard(_line: str) -> None:
    """For callers that do not want a process's output; its tail is kept all the same."""


class Processes(Protocol):
    """The one way a runner process is started, whatever its task."""

    def spawn(
        self, kind: EnvironmentClass, *, on_line: Callable[[str], None] = unheard
    ) -> AbstractAsyncContextManager[Process]:
        """A new process for as long as the context lasts; leaving it kills and reaps what is still there.

        What the body raises leaves as it is, not in a group.

        Args:
            kind: what it is started for and with.
            on_line: gets the lines that it prints; bounded in length and number, without control characters.

        Raises:
            OSError: the system could not start it.
        """


GateOf = Callable[[SpawnRunner], str | None]
"""The gate of one load, for fault tests: a named pipe that the load reads to its end before it reports progress."""


def ungated(_order: SpawnRunner) -> None:
    """Loads go on by themselves."""


OnAnswer = Callable[[str, LeaseEnded], None]
"""Told the model and the runner's last word about each lease."""


def uncounted(_model: str, _ended: LeaseEnded) -> None:
    """Nobody counts answers."""
