"""Host memory: what there is, and what can be had without swapping.

Three authorities may have a say, and the smallest word counts: the machine (``MemTotal``, ``MemAvailable``) and every
memory cgroup above this process, version 1 or 2. A cgroup counts page cache as used although the kernel gives it back
on demand, so its inactive file pages count as free. Parsing is pure; only `HostMemory` reads files.
"""

import sys
from collections.abc import Iterator, Mapping
from pathlib import Path, PurePosixPath
from typing import NamedTuple

import psutil

from service.cgroups import CgroupFiles, levels, memory_cgroups, parse_limit
from statemachines.errors import DeviceError
from statemachines.events import DeviceSample, DevicesSampled, Resident
from statemachines.units import HOST, KIB, RunnerId


class Figure(NamedTuple):
    """What one authority says [bytes]."""

    total_bytes: int
    free_bytes: int
    source: str


class HostMemory:
    """The `Devices` port of a machine without accelerators: one sample, for the host.

    Args:
        proc, cgroups: where the kernel shows itself; other folders in tests.
    """

    def __init__(self, proc: Path = Path("/proc"), cgroups: Path = Path("/sys/fs/cgroup")) -> None:
        self._proc = proc
        self._cgroups = cgroups

    def sample(self, pids: Mapping[RunnerId, int]) -> DevicesSampled:
        """Read now; blocks for a millisecond or two.

        Raises:
            DeviceError: the machine does not tell.
        """
        figure = tightest(self._figures())
        host = DeviceSample(HOST, figure.total_bytes, figure.free_bytes, figure.source)
        resident = tuple(Resident(runner, own_resident_bytes(pid)) for runner, pid in pids.items())
        return DevicesSampled(samples=(host,), resident=resident)

    def _figures(self) -> list[Figure]:
        try:
            if sys.platform == "linux":
                return [parse_meminfo((self._proc / "meminfo").read_text()), *self._cgroup_figures()]
            return [from_psutil()]
        except (OSError, psutil.Error) as error:
            raise DeviceError(f"host memory could not be read: {type(error).__name__}") from error

    def _cgroup_figures(self) -> Iterator[Figure]:
        """One per memory cgroup above this process that has a limit."""
        try:
            text = (self._proc / "self" / "cgroup").read_text("utf-8", "replace")
        except OSError:
            return
        for files, path in memory_cgroups(text):
            yield from filter(None, (self._read_level(files, level) for level in levels(path)))

    def _read_level(self, files: CgroupFiles, level: PurePosixPath) -> Figure | None:
        """A container often sees the path but not the folder: a level that is not there limits nothing."""
        folder = self._cgroups / files.folder / level
        try:
            texts = [(folder / name).read_text() for name in (files.limit, files.usage, "memory.stat")]
            return parse_cgroup(files, level, *texts)
        except (OSError, ValueError):
            return None


def own_resident_bytes(pid: int) -> int:
    """What a process has in memory and shares with nobody [bytes]; mapped files are not in it. 0 when it is gone."""
    try:
        memory = psutil.Process(pid).memory_info()
    except psutil.Error:
        return 0
    return max(0, int(memory.rss) - int(getattr(memory, "shared", 0)))


def tightest(figures: list[Figure]) -> Figure:
    """The smallest total and the smallest free; the source is whoever says how little is free."""
    total = min(figure.total_bytes for figure in figures)
    least = min(figures, key=lambda figure: figure.free_bytes)
    return Figure(total, max(0, min(least.free_bytes, total)), least.source)


def parse_meminfo(text: str) -> Figure:
    """``/proc/meminfo``.

    Raises:
        DeviceError: it lacks a line that every kernel since 3.14 has.
    """
    rows = dict(line.split(":", 1) for line in text.splitlines() if ":" in line)
    try:
        total, free = (int(rows[name].split()[0]) * KIB for name in ("MemTotal", "MemAvailable"))
    except (KeyError, ValueError, IndexError):
        raise DeviceError("/proc/meminfo names no MemTotal or no MemAvailable") from None
    return Figure(total, free, "MemAvailable")


def parse_cgroup(files: CgroupFiles, level: PurePosixPath, limit: str, usage: str, stat: str) -> Figure | None:
    """What one cgroup leaves, or None when it has no limit."""
    limit_bytes, usage_bytes = parse_limit(limit), int(usage)
    if limit_bytes is None:
        return None
    rows = dict(line.split() for line in stat.splitlines())
    free = limit_bytes - usage_bytes + int(rows.get(files.inactive, 0))
    return Figure(limit_bytes, max(0, free), f"cgroup v{files.version} /{'' if str(level) == '.' else level}")


def from_psutil() -> Figure:
    """Where there is no ``/proc``: macOS."""
    memory = psutil.virtual_memory()
    return Figure(memory.total, memory.available, "psutil")
