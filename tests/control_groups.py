"""A memory control group of a test's own, with a limit that is easily met; only root can make one."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest

MOUNT = Path("/sys/fs/cgroup")
V1_LIMIT, V2_LIMIT = "memory.limit_in_bytes", "memory.max"


@dataclass(frozen=True)
class ControlGroup:
    """Attributes:
    folder: where the kernel shows it.
    procs: writing a process's number there moves it into the group.
    """

    folder: Path

    @property
    def procs(self) -> Path:
        return self.folder / "cgroup.procs"

    @property
    def killed(self) -> int:
        """Times that the kernel has killed for memory in it; one that dies slowly may cost its neighbour [count]."""
        counters = (self.folder / name for name in ("memory.oom_control", "memory.events"))
        text = next(counter.read_text() for counter in counters if counter.exists())
        return int(dict(line.split() for line in text.splitlines())["oom_kill"])


@contextmanager
def small_group(limit_bytes: int) -> Iterator[ControlGroup]:
    """A group that ends with the test, in which no process may be left by then; without one the test is skipped."""
    folder = _parent() / f"roundhouse-test-{os.getpid()}"
    try:
        folder.mkdir()
    except OSError:
        pytest.skip("needs root and memory control groups")
    try:
        _limit(folder, limit_bytes)
        yield ControlGroup(folder)
    finally:
        folder.rmdir()


def _parent() -> Path:
    """Our own group in version 1. In version 2 one that holds processes has no limited children: the root has."""
    for line in Path("/proc/self/cgroup").read_text().splitlines():
        _, controllers, path = line.split(":", 2)
        if "memory" in controllers.split(","):
            return MOUNT / "memory" / path.lstrip("/")
    return MOUNT


def _limit(folder: Path, limit_bytes: int) -> None:
    file = next((folder / name for name in (V1_LIMIT, V2_LIMIT) if (folder / name).exists()), None)
    if file is None:
        pytest.skip("the memory controller is not given to new control groups here")
    file.write_text(str(limit_bytes))
