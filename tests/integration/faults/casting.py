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
    """Starts real runner processes; a test hears of each that is to load a model as soon as it is there.

    Attributes:
        freezes: the next ones are frozen before they have done anything.
        gate: nobody but the test hears of the next ones before it is set.
    """

    def __init__(self, *, freezes: bool = False) -> None:
        self.freezes = freezes
        self.gate = trio.Event()
        self.gate.set()
        self._real = RunnerProcesses()
        self._send, self._receive = trio.open_memory_channel[int](100)

    @asynccontextmanager
    async def spawn(
        self, kind: EnvironmentClass, *, on_line: Callable[[str], None] = unheard
    ) -> AsyncIterator[Process]:
        async with self._real.spawn(kind, on_line=on_line) as process:
            if kind.task == Task.SERVE:
                if self.freezes:
                    await freeze(process.pid)
                self._send.send_nowait(process.pid)
                await self.gate.wait()
            yield process

    async def next_pid(self) -> int:
        """The next process that was born."""
        return await self._receive.receive()


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
