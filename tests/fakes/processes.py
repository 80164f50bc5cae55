"""Runner processes that are scripts of a test: what they say and when they end is the test's to choose.

`FakeProcesses` is a `Processes` port. Each spawned `FakeProcess` has a link whose other end is in the test's hands:
`say` lets the runner speak, `heard` shows what the service told it. The real protocol state of the runner's side runs
along, so that a test cannot say what no runner would.
"""

import os
import signal
from collections import deque
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

import trio

from service.environment import EnvironmentClass
from service.ports import unheard
from statemachines.events import Exit, MemoryBound
from statemachines.wire.exits import ExitStatus
from statemachines.wire.link import Task, runner_link
from statemachines.wire.messages import PROTOCOL_VERSION, Hello, ToRunner, ToService

SERVE, FACTS = EnvironmentClass(Task.SERVE), EnvironmentClass(Task.FACTS)
FAKE_FD = 1_000_000
"""A descriptor that no process has."""


class FakeLink:
    """Bytes in two queues.

    Attributes:
        is_closed: the runner's end is gone.
        is_let_go: our end is closed.
        on_let_go: called then.
    """

    def __init__(self) -> None:
        self.to_service: deque[bytes] = deque()
        self.to_runner: deque[bytes] = deque()
        self.is_closed = False
        self.is_let_go = False
        self.on_let_go: Callable[[], None] = lambda: None
        self._spoken = trio.Event()
        self.written = trio.Event()

    @property
    def fd(self) -> int:
        return -1 if self.is_let_go else FAKE_FD

    def send_now(self, data: bytes) -> bytes:
        if self.is_let_go or self.is_closed:
            return data
        self.to_runner.append(data)
        self.written.set()
        return b""

    async def send(self, data: bytes) -> None:
        await trio.lowlevel.checkpoint()
        if self.is_let_go:
            raise trio.ClosedResourceError
        if self.is_closed:
            raise trio.BrokenResourceError
        self.to_runner.append(data)
        self.written.set()

    async def receive(self) -> bytes:
        while not (self.to_service or self.is_closed or self.is_let_go):
            self._spoken = trio.Event()
            await self._spoken.wait()
        await trio.lowlevel.checkpoint()
        if self.is_let_go:
            raise trio.ClosedResourceError
        return self.to_service.popleft() if self.to_service else b""

    async def aclose(self) -> None:
        self.is_let_go = True
        self._spoken.set()
        self.on_let_go()

    def put(self, data: bytes) -> None:
        self.to_service.append(data)
        self._spoken.set()

    def close(self) -> None:
        self.is_closed = True
        self._spoken.set()


class FakeProcess:
    """A runner in a test's hands.

    Attributes:
        kind: what it was started for and with.
        obeys_term: SIGTERM ends it at once.
        obeys_kill: so does SIGKILL; False is a process that hangs in the kernel.
        is_stopped: somebody holds it still.
        signals: what it was sent, in order.
        bound: the limit on its memory.
    """

    def __init__(self, pid: int, on_line: Callable[[str], None], kind: EnvironmentClass = SERVE) -> None:
        self.pid = pid
        self.kind = kind
        self.link = FakeLink()
        self.link.on_let_go = lambda: self.exit(ExitStatus.LINK_CLOSED)
        self.on_line = on_line
        self.signals: list[str] = []
        self.is_stopped = False
        self.obeys_term = True
        self.obeys_kill = True
        self.bound: MemoryBound | None = None
        self._state = runner_link(Task(kind.task))
        self._exit: Exit | None = None
        self._gone = trio.Event()
        self._inbox: deque[ToRunner] = deque()

    # The port

    @property
    def has_ended(self) -> bool:
        return self._exit is not None

    def memory_bound(self) -> MemoryBound | None:
        return self.bound

    def terminate(self) -> None:
        self.signals.append("term")
        if self.obeys_term:
            self.exit(-signal.SIGTERM)

    def kill(self) -> None:
        self.signals.append("kill")
        if self.obeys_kill:
            self.exit(-signal.SIGKILL)

    async def wait(self) -> Exit:
        await self._gone.wait()
        assert self._exit is not None
        return self._exit

    # The test's side

    def say(self, *messages: ToService) -> None:
        """Speak as a runner does, in turn."""
        for message in messages:
            self.link.put(self._state.send(message))

    def say_bytes(self, data: bytes) -> None:
        """Speak as no runner should."""
        self.link.put(data)

    def greet(self, engine: str = "fake engine 1") -> None:
        self.say(Hello(PROTOCOL_VERSION, "test", self.pid, engine))

    async def hear(self) -> ToRunner:
        """The next message from the service."""
        while not self._inbox:
            while not self.link.to_runner:
                self.link.written = trio.Event()
                await self.link.written.wait()
            self._inbox.extend(self._state.receive(self.link.to_runner.popleft()))
        return self._inbox.popleft()

    def hear_sigterm(self) -> None:
        """A stranger has sent it SIGTERM: it is deaf from now on, and ends its leases by itself."""
        self._state.stop()

    def close_link(self) -> None:
        """The link ends while the process goes on."""
        self.link.close()

    def exit(self, status: int = 0, *, was_out_of_memory: bool = False, leaves_link_open: bool = False) -> None:
        """End; the system closes the link, unless a stranger holds its other end."""
        if self._exit is None:
            self._exit = Exit(status, was_out_of_memory, "last words", self.bound)
            self._gone.set()
            if not leaves_link_open:
                self.link.close()


class FakeProcesses:
    """Spawns `FakeProcess`es; a test gets hold of them with `spawned`.

    Attributes:
        fault: raised by the next spawns.
        fault_once: raised by the next one only.
        gate: holds spawns back until it is set.
        end_gate: so it does with the ends of those whose context is left.
    """

    def __init__(self) -> None:
        self.fault: OSError | None = None
        self.fault_once: OSError | None = None
        self.gate = trio.Event()
        self.gate.set()
        self.end_gate = trio.Event()
        self.end_gate.set()
        self.all: list[FakeProcess] = []
        self._send, self._receive = trio.open_memory_channel[FakeProcess](100)

    @asynccontextmanager
    async def spawn(
        self, kind: EnvironmentClass, *, on_line: Callable[[str], None] = unheard
    ) -> AsyncIterator[FakeProcess]:
        await self.gate.wait()
        fault, self.fault_once = self.fault_once or self.fault, None
        if fault is not None:
            raise fault
        process = FakeProcess(os.getpid() + len(self.all) + 1, on_line, kind)
        self.all.append(process)
        self._send.send_nowait(process)
        try:
            yield process
        finally:
            with trio.CancelScope(shield=True):
                await self.end_gate.wait()
            process.exit(-signal.SIGKILL)
            await process.link.aclose()

    async def spawned(self) -> FakeProcess:
        """The next process that was started."""
        return await self._receive.receive()
