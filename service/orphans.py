"""Runner processes whose server is gone and that have not noticed: the next server finds and ends them.

A runner leaves by itself when its link ends, which the system sees to however the server died. One that is stopped
(SIGSTOP, a debugger, a frozen control group) cannot, and holds its memory until somebody ends it.

Nothing is ended that is not proven to be an orphaned runner of ours. All of these must hold; what cannot be read is
left alone:

1. It runs as our user, and in our process namespace, so that numbers mean the same to it and to us.
2. Its command line is the one with which `service.processes` starts runners, for a server with our state folder, which
   it names.
3. That server is not its parent any more; the system gives a process another parent only when its own has ended.
4. No living process has that server's number and birth.
"""

import os
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import suppress
from pathlib import Path

import psutil

from service.births import ProcessIdentity, parse_identity
from service.processes import OWNER_FLAG, RUNNER, owner_words

GONE_S = 5
"""How long to wait for one that was killed; a process that hangs in the system stays."""
LOOK_AGAIN_S = 0.05
"""psutil waits until a process is reaped; between two such waits we look whether it has at least ended."""


def find_orphans(state: Path) -> list[psutil.Process]:
    """The runners that servers with this state folder have left; takes about 0.2 ms for each process there is."""
    return [process for process in _processes() if _is_orphan(process, state)]


def end_orphans(orphans: Sequence[psutil.Process]) -> list[psutil.Process]:
    """Kill them and wait until they are gone; those that are still there.

    psutil looks at a process's birth before it sends a signal, so that one which got its number is not hit.
    """
    for orphan in orphans:
        with suppress(psutil.Error):  # Gone already, which was the point; or still there, and then it is returned.
            orphan.kill()
    deadline = time.monotonic() + GONE_S
    while (remaining := [orphan for orphan in orphans if _is_there(orphan)]) and time.monotonic() < deadline:
        psutil.wait_procs(remaining, timeout=LOOK_AGAIN_S)
    return remaining


def _is_there(process: psutil.Process) -> bool:
    """Whether it still holds anything. One that is dead and not reaped does not, however long its new parent sleeps."""
    try:
        return bool(process.is_running() and process.status() != psutil.STATUS_ZOMBIE)
    except psutil.Error:
        return False


def _processes() -> Iterator[psutil.Process]:
    for pid in psutil.pids():
        try:
            yield psutil.Process(pid)
        except psutil.Error:
            continue


def _is_orphan(process: psutil.Process, state: Path) -> bool:
    try:
        if process.uids().real != os.getuid():  # (1)
            return False
        starter = _starter(process.cmdline(), state)  # (2)
        if starter is None or not _is_in_our_namespace(process.pid):
            return False
        return process.ppid() != starter.pid and not starter.is_alive  # (3) (4)
    except (psutil.Error, OSError):
        return False


def _starter(command: Sequence[str], state: Path) -> ProcessIdentity | None:
    """Which server has started a process, by its command line; None when it is no runner, or of other servers."""
    if tuple(command[1 : len(RUNNER)]) != RUNNER[1:] or OWNER_FLAG not in command[:-1]:
        return None
    words = command[command.index(OWNER_FLAG) + 1]
    server = parse_identity(words.partition("@")[0])
    return server if server is not None and words == owner_words(server, state) else None


def _is_in_our_namespace(pid: int) -> bool:
    """Seen from outside, the runners of a container have other numbers than their server knows them by."""
    if sys.platform != "linux":
        return True
    return os.readlink(f"/proc/{pid}/ns/pid") == os.readlink("/proc/self/ns/pid")
