"""Processes that even SIGKILL does not end: the kernel holds them in a freezer control group (version 1, Linux, root).

That is what a process looks like that hangs in a driver or on a dead network disk: in the system, and deaf.
"""

import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest

FREEZERS = Path("/sys/fs/cgroup/freezer")


class Freezer:
    """One control group."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def freeze(self, pid: int) -> None:
        """From when this returns on, the process hears nothing, not even SIGKILL."""
        (self._folder / "cgroup.procs").write_text(str(pid))
        self._state.write_text("FROZEN")
        while self._state.read_text().strip() != "FROZEN":  # the kernel has no event for it; it takes microseconds
            pass

    def thaw(self) -> None:
        """Whatever was done to it meanwhile reaches it now."""
        self._state.write_text("THAWED")

    @property
    def _state(self) -> Path:
        return self._folder / "freezer.state"


@contextmanager
def freezer() -> Iterator[Freezer]:
    """A freezer for as long as the context lasts; the test is skipped where there is none."""
    folder = FREEZERS / f"roundhouse-{os.getpid()}"
    if not os.access(FREEZERS, os.W_OK):
        pytest.skip("needs freezer control groups (version 1) and the right to make one")
    folder.mkdir()
    made = Freezer(folder)
    try:
        yield made
    finally:
        made.thaw()
        while not _removed(folder):  # processes that were killed meanwhile leave within microseconds
            pass


def _removed(folder: Path) -> bool:
    for pid in (folder / "cgroup.procs").read_text().split():
        with suppress(OSError):  # it has ended
            (FREEZERS / "cgroup.procs").write_text(pid)
    with suppress(OSError):  # one is still on its way out
        folder.rmdir()
    return not folder.exists()
