"""Runners that may have less memory than the machine seems to offer."""

import sys
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager

import msgspec

from service.environment import EnvironmentClass
from service.ports import Process, unheard
from service.processes import RUNNER, RunnerProcesses
from statemachines.wire.link import Task
from tests.control_groups import ControlGroup

_ENTER = "import os, sys; open(sys.argv[1], 'w').write(str(os.getpid())); os.execv(sys.argv[2], sys.argv[2:])"
"""A program that moves itself into a control group and becomes another one."""


class Confined:
    """Starts runner processes (`service.ports.Processes`); those that load a model within what is set at that moment.

    Attributes:
        address_space_bytes: how much address space they may have; None for any.
        group: the control group that they go to; None for ours.
    """

    def __init__(self) -> None:
        self.address_space_bytes: int | None = None
        self.group: ControlGroup | None = None
        self._real = RunnerProcesses()

    def spawn(
        self, kind: EnvironmentClass, *, on_line: Callable[[str], None] = unheard
    ) -> AbstractAsyncContextManager[Process]:
        if kind.task != Task.SERVE:
            return self._real.spawn(kind, on_line=on_line)
        bounded = msgspec.structs.replace(kind, memory_bytes=self.address_space_bytes)
        return self._processes().spawn(bounded, on_line=on_line)

    def _processes(self) -> RunnerProcesses:
        if self.group is None:
            return self._real
        return RunnerProcesses((sys.executable, "-c", _ENTER, str(self.group.procs), *RUNNER))
