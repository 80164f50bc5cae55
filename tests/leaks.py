"""What a test may leave behind, and how to tell: processes, descriptors, listening sockets.

Everything is compared with the moment before the test, so fixtures of a wider scope may hold what they like. It runs
twice per test, so it asks only for what is new.
"""

import gc
import os
import sys
from collections.abc import Iterator
from dataclasses import dataclass

import psutil

DESCRIPTORS = "/proc/self/fd" if sys.platform == "linux" else "/dev/fd"
HARMLESS = ("/dev/null", "/dev/urandom")
"""Libraries open these once, whenever they are first imported, and share them for ever."""
EXIT_S = 10
"""How long a runner whose owner is gone may take to notice; only a failing test waits that long."""


@dataclass(frozen=True)
class Holdings:
    """What there is at one moment.

    Attributes:
        pids: every process of the machine; whose it is is asked only of new ones.
        descriptors: target of each open descriptor by its number.
    """

    pids: frozenset[int]
    descriptors: dict[int, str]


@dataclass(frozen=True)
class Leaks:
    """What is here and was not before."""

    processes: list[psutil.Process]
    descriptors: dict[int, str]

    def sentences(self) -> list[str]:
        """One for each thing that was left."""
        addresses = _listening() if self.descriptors else {}
        return [
            *(f"process {_describe(process)}" for process in self.processes),
            *(
                f"listening socket {addresses[number]}" if number in addresses else f"descriptor {number} ({target})"
                for number, target in sorted(self.descriptors.items())
            ),
        ]

    def end(self) -> None:
        """Kills the processes, so that the next test starts clean."""
        for process in self.processes:
            try:
                process.kill()
            except psutil.Error:
                continue
        psutil.wait_procs(self.processes, timeout=EXIT_S)


def holdings() -> Holdings:
    """What is held now."""
    return Holdings(frozenset(psutil.pids()), dict(_descriptors()))


def leaks(before: Holdings) -> Leaks:
    """What was left since `before`, garbage not counted; waits for runners that are about to leave by themselves."""
    children, orphans = _left(before)
    if children or holdings().descriptors.items() - before.descriptors.items():
        gc.collect()
        children, orphans = _left(before)
    _, orphans = psutil.wait_procs(orphans, timeout=EXIT_S)
    return Leaks([*children, *orphans], dict(holdings().descriptors.items() - before.descriptors.items()))


def _left(before: Holdings) -> tuple[list[psutil.Process], list[psutil.Process]]:
    """New processes: those below this one, at any depth, and runners that have lost their service."""
    children, orphans = [], []
    for pid in sorted(holdings().pids - before.pids):
        try:
            process = psutil.Process(pid)
            if os.getpid() in (parent.pid for parent in process.parents()):
                children.append(process)
            elif _is_orphaned_runner(process):
                orphans.append(process)
        except psutil.Error:
            continue
    return children, orphans


def _is_orphaned_runner(process: psutil.Process) -> bool:
    command = process.cmdline()
    return "-m" in command and "runner" in command and process.ppid() == 1


def _descriptors() -> Iterator[tuple[int, str]]:
    for entry in os.listdir(DESCRIPTORS):
        try:
            target = os.readlink(f"{DESCRIPTORS}/{entry}") if sys.platform == "linux" else "descriptor"
        except OSError:
            continue  # the descriptor with which the folder was read
        if target not in HARMLESS:
            yield int(entry), target


def _listening() -> dict[int, str]:
    """Addresses on which this process listens, by descriptor."""
    connections = psutil.Process().net_connections("inet")
    return {
        connection.fd: f"{connection.laddr.ip}:{connection.laddr.port} (descriptor {connection.fd})"
        for connection in connections
        if connection.status == psutil.CONN_LISTEN
    }


def _describe(process: psutil.Process) -> str:
    try:
        status = process.status()
        command = [process.name()] if status == psutil.STATUS_ZOMBIE else process.cmdline()
        return f"{process.pid} ({status}): {' '.join(command)}"
    except psutil.Error:
        return f"{process.pid} (gone meanwhile)"
