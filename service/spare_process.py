"""One runner process that is started ahead of need, from its spawn to its end, whoever has it meanwhile.

Theory of operation. The process belongs to the task that runs `SpareProcess.run`: only that task kills and reaps it,
at the end of its own `spawn`. Who takes the process *borrows* it: signals and waits go through, the link changes
hands, and so does what it prints. When the borrower leaves, the task ends the process, and the borrower goes on when
that is done. So the borrower has what every `Processes.spawn` promises, and the process never has two owners, nor
none.

Until it is taken, its link is read: its greeting says that the engine is imported, and the end of the link is its
end. The borrower hears the greeting once more, so a borrowed process is met like any other.
"""

from collections import deque
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

import trio
from structlog.typing import FilteringBoundLogger

from service.borrowed import BorrowedProcess
from service.environment import EnvironmentClass
from service.logs import LEVELS, say_native
from service.ports import Clock, Process, Processes
from statemachines.errors import RemoteWireError
from statemachines.events import Exit
from statemachines.units import NS_PER_MS
from statemachines.wire.link import Task, service_link

EXIT_S = 1
"""From the end of its link to its exit; without a link it is of no use to anybody, and is killed then."""


async def _end_of(process: Process) -> Exit:
    with trio.move_on_after(EXIT_S):
        return await process.wait()
    process.kill()
    return await process.wait()


class SpareProcess:
    """One process.

    Args:
        on_greeted: called with it when it is warm.

    Attributes:
        kind: what it was started for and with.
        pid: None until the process is there.
        exit: how it ended by itself, before anybody took it.
    """

    def __init__(
        self,
        kind: EnvironmentClass,
        *,
        on_greeted: Callable[["SpareProcess"], None],
        clock: Clock,
        log: FilteringBoundLogger,
    ) -> None:
        self.kind = kind
        self.pid: int | None = None
        self.exit: Exit | None = None
        self._on_greeted = on_greeted
        self._clock = clock
        self._log = log
        self._started_ns = clock.now_ns()
        self._on_line: Callable[[str], None] = self._say_native
        self._process: Process | None = None
        self._heard: deque[bytes] = deque()
        self._hearing = trio.CancelScope()
        self._heard_out = trio.Event()
        self._is_lent = self._is_over = False
        self._given_back = trio.Event()
        self._reaped = trio.Event()

    @property
    def has_ended(self) -> bool:
        """Whether it is dead, or about to be: nobody hears it any more. One that is being started is neither."""
        return self._is_over or (self._process is not None and self._process.has_ended)

    @property
    def is_stopped(self) -> bool:
        return self._process is not None and self._process.is_stopped

    def say(self, level: str, line: str, **fields: object) -> None:
        """One log line; ``fields`` come after what all lines about a spare carry."""
        elapsed_ms = (self._clock.now_ns() - self._started_ns) // NS_PER_MS
        self._log.log(LEVELS[level], line, spare=True, pid=self.pid, elapsed_ms=elapsed_ms, **fields)

    def _say_native(self, line: str) -> None:
        say_native(self.say, line)

    # Its owner

    async def run(self, processes: Processes) -> None:
        """Own the process until it is reaped.

        Raises:
            OSError: the system could not start it.
            RemoteWireError: it broke the protocol, and was killed for it.
        """
        try:
            async with processes.spawn(self.kind, on_line=self._hear_line) as process:
                self._process, self.pid = process, process.pid
                await self._hear(process)
                if self._is_lent:
                    await self._given_back.wait()
        finally:
            self._heard_out.set()
            self._reaped.set()

    async def _hear(self, process: Process) -> None:
        """Until it ends, or is taken or dropped."""
        state = service_link(Task(self.kind.task))
        try:
            with self._hearing:
                while data := await process.link.receive():
                    self._heard.append(data)
                    if state.receive(data):
                        self._on_greeted(self)
                self._is_over = True
                self.exit = await _end_of(process)
        except RemoteWireError:
            self._is_over = True
            raise
        finally:
            self._heard_out.set()

    def _hear_line(self, line: str) -> None:
        self._on_line(line)

    def drop(self) -> None:
        """Nobody will take it: end it."""
        self._hearing.cancel()

    # Who takes it

    @asynccontextmanager
    async def lend(self, on_line: Callable[[str], None]) -> AsyncIterator[Process | None]:
        """The process for as long as the context lasts, or None if it could not be started.

        Leaving ends the process, as leaving any spawn does.
        """
        self._on_line = on_line
        self._is_lent = True
        self._hearing.cancel()
        try:
            await self._heard_out.wait()
            yield None if self._process is None else BorrowedProcess(self._process, self._heard)
        finally:
            self._given_back.set()
            with trio.CancelScope(shield=True):
                await self._reaped.wait()
