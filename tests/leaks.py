"""What a test may leave behind, and how to tell: processes, descriptors, listening sockets.

Everything is compared with the moment before the test, so fixtures of a wider scope may hold what they like. It runs
twice per test, so it asks only for what is new.
"""

import gc
import os
import sys
from collections.abc import Iterable, Iterator
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
        children: processes below this one, at any depth, zombies included.
        descriptors: target of each open descriptor by its number.
        pids: every process of the machine.
    """

    children: frozenset[psutil.Process]
    descriptors: dict[int, str]
    pids: frozenset[int]


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
    children = psutil.Process().children(recursive=True)
    return Holdings(frozenset(children), dict(_descriptors()), frozenset(psutil.pids()))


def leaks(before: Holdings) -> Leaks:
    """What was left since `before`, garbage not counted; waits for runners that are about to leave by themselves."""
    now = holdings()
    if now.children - before.children or now.descriptors.items() - before.descriptors.items():
        gc.collect()
        now = holdings()
    orphans = list(_orphans(now.pids - before.pids - {child.pid for child in now.children}))
    _, orphans = psutil.wait_procs(orphans, timeout=EXIT_S)
    children = sorted(now.children - before.children, key=lambda process: process.pid)
    return Leaks([*children, *orphans], dict(now.descriptors.items() - before.descriptors.items()))


def _descriptors() -> Iterator[tuple[int, str]]:
    for entry in os.listdir(DESCRIPTORS):
        try:
            target = os.readlink(f"{DESCRIPTORS}/{entry}") if sys.platform == "linux" else "descriptor"
        except OSError:
            continue  # the descriptor with which the folder was read
        if target not in HARMLESS:
            yield int(entry), target


def _orphans(pids: Iterable[int]) -> Iterator[psutil.Process]:
    """Runners whose service is gone: they should leave as soon as their socket closes."""
    for pid in sorted(pids):
        try:
            process = psutil.Process(pid)
            command = process.cmdline()
            if "-m" in command and "runner" in command and process.ppid() == 1:
                yield process
        except psutil.Error:
            continue


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
