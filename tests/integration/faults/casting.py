"""Who plays a runner: the first ones that a service starts follow scripts, all others are real."""

import sys
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from pathlib import Path

from service.environment import EnvironmentClass
from service.ports import Process, unheard
from service.processes import RunnerProcesses
from statemachines.wire.link import Task

STANDIN = Path(__file__).with_name("standin.py")
NO_PROGRAM = "no program"
"""A script that nobody can play: the system finds nothing to start."""


def standin_command(script: str) -> tuple[str, ...]:
    """What is started instead of `service.processes.RUNNER`."""
    if script == NO_PROGRAM:
        return ("/nowhere/python",)
    return (sys.executable, "-P", str(STANDIN), script)


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
