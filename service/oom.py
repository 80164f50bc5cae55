"""Did memory run out? The kernel's own count of the processes that it killed for memory, and what a process may have.

A process that the kernel kills for memory looks like any other that got SIGKILL. What tells them apart is a counter
that has grown: that of the control group it was in, or the whole machine's where there is none. It names no process,
so this is evidence, not proof: somebody who kills a runner by hand just after the kernel killed another process of the
same group is taken for the kernel. Each killing is used for one process only, and only while it is fresh: at each look
the count that a process is judged against follows that of some looks before.

A process may be in another group than ours, and may be moved while it lives. Its group is looked up while that can
be done: when it was started, when it first speaks, and now and then; of a dead process the kernel does not tell.
"""

import resource
import sys
from collections import deque
from collections.abc import Iterator
from pathlib import Path

from service.cgroups import group_folders, parse_limit
from statemachines.events import MemoryBound

_PROC = Path("/proc")
_CGROUP = Path("/sys/fs/cgroup")
_KEY = "oom_kill"
LOOKS_KEPT = 10
"""Counts that a watch remembers. Whoever waits for a process looks once a second (`service.processes.LOOK_S`), so a
killing is fresh for some ten seconds: a large process may be seconds dying after the kernel has counted it."""


class OomWitness:
    """Reads the counters and remembers which killings have been accounted for.

    Args:
        proc, cgroup: where the kernel shows its files.
    """

    def __init__(self, proc: Path = _PROC, cgroup: Path = _CGROUP) -> None:
        self._proc = proc
        self._cgroup = cgroup
        self._accounted: dict[Path, int] = {}

    def watch(self, pid: int) -> "OomWatch":
        """Begin to watch a process that lives."""
        return OomWatch(self, pid)

    def groups(self, pid: int) -> str:
        """In which groups a process is; nothing when it is gone."""
        return _text(self._proc / str(pid) / "cgroup")

    def counter(self, groups: str) -> Path | None:
        """The file that counts for a process of these groups; None on a system that does not count."""
        folders = group_folders(groups, self._cgroup)
        files = [folder / name for kind, folder in folders for name in kind.kills]
        return next((file for file in (*files, self._proc / "vmstat") if read_count(file) is not None), None)

    def limits(self, groups: str) -> Iterator[int]:
        """What each of these groups and those above may have [bytes], where that is limited."""
        for kind, folder in group_folders(groups, self._cgroup):
            text = _text(folder / kind.limit)
            limit_bytes = parse_limit(text) if text else None
            if limit_bytes is not None:
                yield limit_bytes

    def claim(self, counter: Path, since: int) -> bool:
        """Whether ``counter`` has counted a killing since ``since`` that nobody has claimed."""
        accounted = max(since, self._accounted.get(counter, 0))
        if (read_count(counter) or 0) <= accounted:
            return False
        self._accounted[counter] = accounted + 1
        return True


class OomWatch:
    """One process, from its start.

    Attributes:
        bound: the tightest limit that the system holds it to, as it was when last looked at; None without one.
    """

    def __init__(self, witness: OomWitness, pid: int) -> None:
        self.bound: MemoryBound | None = None
        self._witness = witness
        self._pid = pid
        self._seen: dict[Path, deque[int]] = {}
        self.look()

    def look(self) -> None:
        """See in which group it is, what it may have, and what has been counted; for a process that is not reaped."""
        groups = self._witness.groups(self._pid)
        counter = self._witness.counter(groups)
        if counter is not None and (groups or not self._seen):
            self._seen.setdefault(counter, deque(maxlen=LOOKS_KEPT))
        for file, counts in self._seen.items():
            count = read_count(file)
            if count is not None:
                counts.append(count)
        if groups:
            self.bound = self._tightest(groups)

    def was_killed(self) -> bool:
        """Whether the kernel killed it for memory, as far as counters can tell; true for one process per killing."""
        return any(self._witness.claim(counter, counts[0]) for counter, counts in self._seen.items() if counts)

    def _tightest(self, groups: str) -> MemoryBound | None:
        bounds = [MemoryBound(limit_bytes, "of its control group") for limit_bytes in self._witness.limits(groups)]
        space_bytes = address_space(self._pid)
        if space_bytes is not None:
            bounds.append(MemoryBound(space_bytes, "of its address space"))
        return min(bounds, key=lambda bound: bound.limit_bytes, default=None)


def address_space(pid: int) -> int | None:
    """How much address space a process may have [bytes]; None for any, and where nobody can know."""
    if sys.platform != "linux":
        return None
    try:
        limit_bytes, _ = resource.prlimit(pid, resource.RLIMIT_AS)
    except OSError:
        return None
    return None if limit_bytes == resource.RLIM_INFINITY else limit_bytes


def read_count(file: Path) -> int | None:
    """The killings that a file counts; None when it counts none."""
    for line in _text(file).splitlines():
        key, _, value = line.partition(" ")
        if key == _KEY:
            return int(value)
    return None


def _text(file: Path) -> str:
    """Names of groups are bytes of somebody's choice, and are needed again as what they are."""
    try:
        return file.read_text(encoding="utf-8", errors="surrogateescape")
    except OSError:
        return ""
