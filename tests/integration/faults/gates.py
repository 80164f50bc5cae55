"""Gates: named pipes at which real loads are held, inside the engine's progress callback.

`gates.hold("polite")` makes the next load of that model stop at its first report of progress. The gate tells when the
load has arrived there (`arrived`) and lets it go on (`open`). See `runner.llama.gate` for the other end. A gate of its
own, `Gate(path)`, holds a program that reads the pipe, such as a stand-in.
"""

import os
from pathlib import Path

import trio

from statemachines.effects import SpawnRunner


class Gate:
    """Holds one load."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._write_end: int | None = None
        self._is_open = False
        os.mkfifo(path)

    async def arrived(self) -> None:
        """Return when the load stands at the gate; it stays there until `open`."""
        await trio.to_thread.run_sync(self._meet, abandon_on_cancel=True)

    def _meet(self) -> None:
        """The system returns from opening a pipe for writing when somebody has opened it for reading."""
        self._write_end = os.open(self.path, os.O_WRONLY)
        if self._is_open:  # A test that failed while it waited here has left this thread behind.
            self._let_go()

    def open(self) -> None:
        """Let the load go on; one that comes later finds the gate open, and a second opening changes nothing."""
        if self._is_open:
            return
        self._is_open = True
        both_ends = os.open(self.path, os.O_RDWR)  # wakes whoever waits in the system for the other end
        empty = self.path.with_suffix(".open")
        empty.touch()
        empty.replace(self.path)
        os.close(both_ends)
        self._let_go()

    def _let_go(self) -> None:
        end, self._write_end = self._write_end, None
        if end is not None:
            os.close(end)


class Gates:
    """The gates of one service.

    Args:
        folder: where their pipes are made.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._made: list[Gate] = []
        self._coming: dict[str, list[Gate]] = {}

    def hold(self, model: str) -> Gate:
        """The next load of this model that has no gate yet will stop at this one."""
        gate = Gate(self._folder / f"gate-{len(self._made)}")
        self._made.append(gate)
        self._coming.setdefault(f"{model}:latest", []).append(gate)
        return gate

    def gate_of(self, order: SpawnRunner) -> str | None:
        """See `service.ports.GateOf`."""
        coming = self._coming.get(order.model)
        return str(coming.pop(0).path) if coming else None

    def open_all(self) -> None:
        """Hold nobody any more."""
        self._coming.clear()
        for gate in self._made:
            gate.open()
