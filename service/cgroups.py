"""Where memory cgroups are and how their files are called, in both versions. Parsing is pure."""

from collections.abc import Iterator
from pathlib import Path, PurePosixPath
from typing import NamedTuple

UNLIMITED_BYTES = 1 << 60
"""Version 1 says "no limit" with a number that no machine has."""


class CgroupFiles(NamedTuple):
    """How one version of cgroups names what we read.

    Attributes:
        folder: below the mount of all cgroups.
        limit, usage, inactive: what a group may have, has, and could give back.
        kills: files with an ``oom_kill`` count, the best first: one of this group alone before one of all below it.
    """

    version: int
    folder: str
    limit: str
    usage: str
    inactive: str
    kills: tuple[str, ...]


V1 = CgroupFiles(
    1, "memory", "memory.limit_in_bytes", "memory.usage_in_bytes", "total_inactive_file", ("memory.oom_control",)
)
V2 = CgroupFiles(2, "", "memory.max", "memory.current", "inactive_file", ("memory.events.local", "memory.events"))


def memory_cgroups(text: str) -> Iterator[tuple[CgroupFiles, PurePosixPath]]:
    """The memory cgroups in ``/proc/<pid>/cgroup``: ``id:controllers:path`` per line, ``0::path`` for version 2."""
    for line in text.splitlines():
        number, controllers, path = line.split(":", 2)
        if "memory" in controllers.split(","):
            yield V1, PurePosixPath(path)
        elif number == "0" and not controllers:
            yield V2, PurePosixPath(path)


def levels(path: PurePosixPath) -> Iterator[PurePosixPath]:
    """The cgroup and all above it, relative to the root: a limit anywhere up the tree binds."""
    inner = PurePosixPath(*(part for part in path.parts if part not in ("/", "..")))
    yield inner
    yield from inner.parents


def group_folders(text: str, mount: Path) -> Iterator[tuple[CgroupFiles, Path]]:
    """The folders of a process's memory cgroups, the closest first; some are there only outside of a container."""
    for files, path in memory_cgroups(text):
        for level in levels(path):
            yield files, mount / files.folder / level


def parse_limit(text: str) -> int | None:
    """What a group may have [bytes]; None for as much as there is.

    Raises:
        ValueError: it is no limit.
    """
    if text.strip() == "max":
        return None
    limit_bytes = int(text)
    return limit_bytes if limit_bytes < UNLIMITED_BYTES else None
