"""A service whose loads can be held, as a program: something to be killed, and measured without its test.

Started with ``MODELS STATE GATES LIMITS SETTINGS``, the last two as JSON; see `tests.integration.faults.separate`. The
first load of a model for which the folder GATES has a named pipe of that name stops at it.
"""

import sys
from functools import partial
from pathlib import Path

import msgspec
import trio

from service.config import Settings
from service.main import Ports, serve
from service.processes import RunnerProcesses
from statemachines.effects import SpawnRunner
from statemachines.limits import Limits


class Gates:
    """Each pipe holds one load."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._passed: set[Path] = set()

    def gate_of(self, order: SpawnRunner) -> str | None:
        gate = self._folder / order.model
        if gate in self._passed or not gate.is_fifo():
            return None
        self._passed.add(gate)
        return str(gate)


def main(models: str, state: str, gates: str, limits: str, further: str) -> int:
    settings = Settings(
        models=Path(models),
        state=Path(state),
        limits=msgspec.json.decode(limits, type=Limits),
        log_format="json",
        strict=True,
        **msgspec.json.decode(further),
    )
    ports = Ports(RunnerProcesses(state=settings.state), Gates(Path(gates)).gate_of)
    return trio.run(partial(serve, settings, ports=ports))


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
