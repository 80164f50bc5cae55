"""What a test may leave behind, and how to tell: processes, descriptors, listening sockets.

Everything is compared with the moment before the test, so fixtures of a wider scope may hold what they like. It runs
twice per test, so it asks only for what is new.
"""

import ctypes
import gc
import os
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass

import psutil

DESCRIPTORS = "/proc/self/fd" if sys.platform == "linux" else "/dev/fd"
HARMLESS = ("/dev/null", "/dev/urandom")
"""Libraries open these once, whenever they are first imported, and share them for ever."""
SET_CHILD_SUBREAPER = 36
"""PR_SET_CHILD_SUBREAPER of Linux: an orphaned descendant becomes a child of the caller, and not of init."""
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


def adopt_orphans() -> None:
    """From now on a process cannot hide behind a parent that has ended; Linux only, for the life of this process."""
    if sys.platform == "linux" and ctypes.CDLL(None, use_errno=True).prctl(SET_CHILD_SUBREAPER, 1, 0, 0, 0) != 0:
        raise OSError(ctypes.get_errno(), "cannot adopt orphaned processes")


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
            if _is_orphaned_runner(process):
                orphans.append(process)
            elif os.getpid() in (parent.pid for parent in process.parents()):
                children.append(process)
        except (psutil.Error, ProcessLookupError):
            continue
    return children, orphans


def _is_orphaned_runner(process: psutil.Process) -> bool:
    """Whether it has no parent but the one that took it in, and is a runner, or was one as far as can be told.

    One that ends or has ended has no command line any more; what is left is that each runner leads a session.
    """
    if process.ppid() not in (1, os.getpid()) or _is_known(process.pid):
        return False
    try:
        command = process.cmdline()
    except psutil.ZombieProcess:
        command = []
    return ("-m" in command and "runner" in command) or (not command and os.getsid(process.pid) == process.pid)


def _is_known(pid: int) -> bool:
    """Whether this process itself has started it."""
    children = (each for each in gc.get_objects() if issubclass(type(each), subprocess.Popen))
    return pid in {child.pid for child in children}


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
