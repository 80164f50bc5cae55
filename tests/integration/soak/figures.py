"""What a process holds, as the system tells it to anybody: memory, descriptors, sockets. Linux only."""

import os
from pathlib import Path

import msgspec
import psutil

from tests.integration.faults.separate import Separate

KIB = 1024
GIVES_BACK = {"MALLOC_ARENA_MAX": "1", "MALLOC_TRIM_THRESHOLD_": "65536"}
"""Environment in which glibc has one heap and gives back what is free at its end. Otherwise each thread has a heap, and
each keeps what it once had at a time, up to some hundred KiB more or less by chance."""


class Memory(msgspec.Struct, frozen=True):
    """Memory of one process, or of several together.

    Attributes:
        own_bytes: what no file is behind: what is allocated, and what leaks.
        mapped_bytes: what is in memory of the files that are mapped, each page counted in full.
        pss_bytes: all of it, each page divided by the number of processes that have it.
    """

    own_bytes: int
    mapped_bytes: int
    pss_bytes: int

    @property
    def resident_bytes(self) -> int:
        """What counts when two moments are compared.

        Why not `pss_bytes`: that changes by some percent whenever any program of the machine starts or ends that maps
        the same libraries. Of the same processes this grows at least as much as their part of it does.
        """
        return self.own_bytes + self.mapped_bytes

    def shown(self) -> str:
        return f"{self.resident_bytes / 1e6:.2f} MB (PSS {self.pss_bytes / 1e6:.2f})"

    def __add__(self, other: "Memory") -> "Memory":
        return Memory(
            self.own_bytes + other.own_bytes,
            self.mapped_bytes + other.mapped_bytes,
            self.pss_bytes + other.pss_bytes,
        )


class Figures(msgspec.Struct, frozen=True):
    """What a service at rest holds.

    Attributes:
        children: its processes [count].
        descriptors: [count].
        sockets: by inode.
        memory: of the service alone.
    """

    children: int
    descriptors: int
    sockets: frozenset[str]
    memory: Memory


def memory_of(pid: int) -> Memory:
    lines = Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()[1:]
    found = {name: int(words.split()[0]) * KIB for name, words in (line.split(":") for line in lines)}
    return Memory(found["Pss_Anon"], found["Rss"] - found["Anonymous"], found["Pss"])


def figures_of(service: Separate) -> Figures:
    """Of a service that has nothing to do, once its last client is gone."""
    pid = service.process.pid
    while any(one.status != psutil.CONN_LISTEN for one in psutil.Process(pid).net_connections("inet")):
        pass
    while _is_sampling(descriptors := _descriptors(pid)):
        pass
    sockets = frozenset(target for target in descriptors if target.startswith("socket:"))
    return Figures(len(service.children()), len(descriptors), sockets, memory_of(pid))


def _is_sampling(descriptors: list[str]) -> bool:
    """Whether it was just reading how much memory there is."""
    return any(target.startswith(("/proc/", "/sys/")) for target in descriptors)


def _descriptors(pid: int) -> list[str]:
    """The target of each; a socket's is its inode."""
    folder = Path(f"/proc/{pid}/fd")
    found = []
    for name in os.listdir(folder):
        try:
            found.append(os.readlink(folder / name))
        except FileNotFoundError:
            continue  # It was closed meanwhile.
    return found
