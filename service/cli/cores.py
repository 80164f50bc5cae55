"""How many cores this process may really use: the default of the thread budget.

Why not `os.cpu_count`: in a container it counts the machine's cores, and an engine with more threads than cores runs
at a fraction of its speed, because its barriers wait for threads that are not scheduled.
"""

import os
from pathlib import Path

_ROOT = Path("/")


def usable_cores(root: Path = _ROOT) -> int:
    """Cores this process may run on, less what a CPU quota takes away; at least one [count]."""
    scheduled = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    quota = quota_cores(root)
    return scheduled if quota is None else max(1, min(scheduled, int(quota)))


def quota_cores(root: Path = _ROOT) -> float | None:
    """The tightest CPU quota of this process's control groups [cores], or None without one."""
    quotas = [quota for folder in _group_folders(root) if (quota := _folder_quota(folder)) is not None]
    return min(quotas, default=None)


def _group_folders(root: Path) -> list[Path]:
    """Every folder from this process's control group up to the mount, for version 2 and for the version 1 cpu one.

    Inside a container the path may name a folder that only the host sees; then the mount itself is ours.
    """
    folders = []
    for line in _read(root / "proc/self/cgroup").splitlines():
        _, _, rest = line.partition(":")
        kinds, _, path = rest.partition(":")
        if kinds and "cpu" not in kinds.split(","):
            continue
        mount = root / "sys/fs/cgroup" / ("cpu" if kinds else "")
        below = mount / path.strip("/")
        folders += [folder for folder in (below, *below.parents) if folder.is_relative_to(mount)]
    return folders


def _folder_quota(folder: Path) -> float | None:
    """Quota over period: ``cpu.max`` holds both in version 2, two files do in version 1; no quota is max or -1."""
    words = _read(folder / "cpu.max").split()
    if not words:
        words = [_read(folder / "cpu.cfs_quota_us").strip(), _read(folder / "cpu.cfs_period_us").strip()]
    quota_us, period_us = (int(word) if word.isdecimal() else 0 for word in (*words, "")[:2])
    return quota_us / period_us if quota_us and period_us else None


def _read(path: Path) -> str:
    try:
        return path.read_text()
    except OSError:
        return ""
