"""Did memory run out? The kernel's own count of the processes that it killed for memory.

A process that the kernel kills for memory looks like any other that got SIGKILL. What tells them apart is a counter
that has grown: that of our control group, or the whole machine's where there is none. It names no process, so this
is evidence, not proof: somebody who kills a runner by hand just after the kernel killed another process of the same
group is taken for the kernel. Each killing is used for one process only.
"""

from pathlib import Path

_PROC = Path("/proc")
_CGROUP = Path("/sys/fs/cgroup")
_KEY = "oom_kill"


class OomWitness:
    """Reads the counter and remembers which killings have been accounted for.

    Args:
        proc, cgroup: where the kernel shows its files.
    """

    def __init__(self, proc: Path = _PROC, cgroup: Path = _CGROUP) -> None:
        self._files = (*_group_files(proc, cgroup), proc / "vmstat")
        self._accounted = 0

    def count(self) -> int:
        """Processes killed for memory until now; 0 on a system that does not count."""
        return next((count for file in self._files if (count := _read(file)) is not None), 0)

    def claim(self, since: int) -> bool:
        """Whether the kernel has killed a process since ``since`` was counted of which nobody has claimed to be it."""
        accounted = max(since, self._accounted)
        if self.count() <= accounted:
            return False
        self._accounted = accounted + 1
        return True


def _group_files(proc: Path, cgroup: Path) -> list[Path]:
    """The files that may count for our own control group, the closest first.

    Version 2 writes ``0::/path``, version 1 ``4:memory:/path``; in a container the path may be one of the machine
    outside, and the group's files lie where the file system is mounted.
    """
    files: list[Path] = []
    for line in _text(proc / "self" / "cgroup").splitlines():
        number, controllers, path = line.split(":", 2)
        if number == "0":
            files += _in_or_at(cgroup, path, "memory.events")
        elif "memory" in controllers.split(","):
            files += _in_or_at(cgroup / "memory", path, "memory.oom_control")
    return files


def _in_or_at(mount: Path, path: str, name: str) -> tuple[Path, Path]:
    return mount / path.lstrip("/") / name, mount / name


def _read(file: Path) -> int | None:
    for line in _text(file).splitlines():
        key, _, value = line.partition(" ")
        if key == _KEY:
            return int(value)
    return None


def _text(file: Path) -> str:
    try:
        return file.read_text(encoding="ascii")
    except OSError:
        return ""
