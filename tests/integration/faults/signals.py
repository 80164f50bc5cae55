"""Signals to runner processes, and the certainty that they have arrived."""

import os
import signal

import trio


async def freeze(pid: int) -> None:
    """SIGSTOP a child of this process; returns when the kernel has stopped it."""
    os.kill(pid, signal.SIGSTOP)
    await trio.to_thread.run_sync(os.waitid, os.P_PID, pid, os.WSTOPPED | os.WNOWAIT)


def thaw(pid: int) -> None:
    """Let a frozen process go on."""
    os.kill(pid, signal.SIGCONT)


def murder(pid: int) -> None:
    """SIGKILL, as a stranger would."""
    os.kill(pid, signal.SIGKILL)


def dismiss(pid: int) -> None:
    """SIGTERM, as a stranger would."""
    os.kill(pid, signal.SIGTERM)


def stand_still_until_gone(pid: int) -> None:
    """Hold up this whole process, its event loop included, until a child has ended; it is not reaped."""
    os.waitid(os.P_PID, pid, os.WEXITED | os.WNOWAIT)
