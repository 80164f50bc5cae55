"""What the shell needs from the world, as protocols: each has one real implementation and one tested fake.

The real ones are chosen in `service.main`, the fakes live in `tests/fakes/`; nothing else knows which it talks to.
"""

from collections.abc import Awaitable
from contextlib import AbstractAsyncContextManager
from typing import Protocol

from statemachines.effects import AnyEffect
from statemachines.events import AnyEvent, DeviceSample, Exit
from statemachines.units import RequestId


class Clock(Protocol):
    """Monotonic time for decisions, wall time for people."""

    def now_ns(self) -> int: ...

    def wall_ns(self) -> int: ...

    async def sleep_until(self, due_ns: int) -> None: ...


class Ids(Protocol):
    """Names for requests: a number for the core, a string for `X-Request-Id`."""

    def next_request(self) -> RequestId: ...

    def label(self, request: RequestId) -> str: ...


class Devices(Protocol):
    """Reads memory figures; may block, so it is called from a thread."""

    def sample(self) -> tuple[DeviceSample, ...]: ...


class Journal(Protocol):
    """Keeps what went in and what came out."""

    def write(self, event: AnyEvent, effects: tuple[AnyEffect, ...]) -> None: ...

    def dump(self, why: str) -> None: ...


class ByteLink(Protocol):
    """A two-way byte stream to a runner; `receive` answers ``b""`` at the end."""

    async def send(self, data: bytes) -> None: ...

    async def receive(self) -> bytes: ...

    async def aclose(self) -> None: ...


class Process(Protocol):
    """One started runner process."""

    pid: int
    link: ByteLink

    def terminate(self) -> None: ...

    def kill(self) -> None: ...

    def wait(self) -> Awaitable[Exit]: ...


class Processes(Protocol):
    """The one way a runner process is started, whatever its task."""

    def spawn(self, task: str) -> AbstractAsyncContextManager[Process]: ...
