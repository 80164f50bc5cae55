"""Who plays a runner: real ones that a test hears of at their birth, or stand-ins that follow scripts."""

import sys
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from pathlib import Path

import trio

from service.environment import EnvironmentClass
from service.ports import Process, unheard
from service.processes import RunnerProcesses
from statemachines.wire.link import Task
from tests.integration.faults.signals import freeze

STANDIN = Path(__file__).with_name("standin.py")
NO_PROGRAM = "no program"
"""A script that nobody can play: the system finds nothing to start."""


def standin_command(script: str) -> tuple[str, ...]:
    """What is started instead of `service.processes.RUNNER`."""
    if script == NO_PROGRAM:
        return ("/nowhere/python",)
    return (sys.executable, "-P", str(STANDIN), script)


class Births:
    """Starts real runner processes; a test hears of each with a certain task as soon as it is there, and of its end.

    Args:
        task: what for; by default to load a model.

    Attributes:
        freezes: the next ones are frozen before they have done anything.
        gate: nobody but the test hears of the next ones before it is set.
    """

    def __init__(self, *, freezes: bool = False, task: Task = Task.SERVE) -> None:
        self.freezes = freezes
        self._task = task
        self.gate = trio.Event()
        self.gate.set()
        self._real = RunnerProcesses()
        self._send, self._receive = trio.open_memory_channel[int](100)
        self._send_gone, self._receive_gone = trio.open_memory_channel[int](100)

    @asynccontextmanager
    async def spawn(
        self, kind: EnvironmentClass, *, on_line: Callable[[str], None] = unheard
    ) -> AsyncIterator[Process]:
        pid: int | None = None
        try:
            async with self._real.spawn(kind, on_line=on_line) as process:
                if kind.task == self._task:
                    pid = process.pid
                    if self.freezes:
                        await freeze(pid)
                    self._send.send_nowait(pid)
                    await self.gate.wait()
                yield process
        finally:
            if pid is not None:
                self._send_gone.send_nowait(pid)

    async def next_pid(self) -> int:
        """The next process that was born."""
        return await self._receive.receive()

    async def next_gone(self) -> int:
        """The next of them that was reaped and let go of."""
        return await self._receive_gone.receive()


class Casting:
    """Starts runner processes (`service.ports.Processes`).

    Args:
        scripts: see `tests.integration.faults.standin`; one for each of the first runners that are to load a model.
    """

    def __init__(self, *scripts: str) -> None:
        self._scripts = list(scripts)
        self._real = RunnerProcesses()

    def spawn(
        self, kind: EnvironmentClass, *, on_line: Callable[[str], None] = unheard
    ) -> AbstractAsyncContextManager[Process]:
        return self._player(kind.task).spawn(kind, on_line=on_line)

    def _player(self, task: str) -> RunnerProcesses:
        if task != Task.SERVE or not self._scripts:
            return self._real
        return RunnerProcesses(standin_command(self._scripts.pop(0)))
