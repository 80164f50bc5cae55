"""Which process a number means. The system gives numbers again; a number and a birth are one process until a reboot."""

import os
import re
import sys
from pathlib import Path

import msgspec
import psutil

_ENDED = ("Z", "X")
"""How Linux marks processes that have ended and are still listed: not reaped yet, or just gone."""


class ProcessIdentity(msgspec.Struct, frozen=True):
    """One process, whoever may get its number later.

    Attributes:
        birth: see `birth_of`; 0 when the system did not tell.
    """

    pid: int
    birth: int

    def __str__(self) -> str:
        """As `parse_identity` reads it."""
        return f"{self.pid}:{self.birth}"

    @property
    def is_alive(self) -> bool:
        return birth_of(self.pid) == self.birth


def own_identity() -> ProcessIdentity:
    """This process."""
    pid = os.getpid()
    return ProcessIdentity(pid, birth_of(pid) or 0)


def parse_identity(text: str) -> ProcessIdentity | None:
    """What ``text`` spells; None when it is not known which process that is."""
    match = re.fullmatch(r"([1-9]\d{0,9}):([1-9]\d{0,18})", text, re.ASCII)
    return ProcessIdentity(int(match[1]), int(match[2])) if match else None


def birth_of(pid: int) -> int | None:
    """When the living process of this number was started; None when there is none, or it has ended and is not reaped.

    The unit is the system's own and good for comparing only. Why not psutil's everywhere: on Linux it counts from the
    wall clock's idea of when the machine was started, which moves when that clock is set.
    """
    return _birth_by_ticks(pid) if sys.platform == "linux" else _birth_by_clock(pid)


def _birth_by_ticks(pid: int) -> int | None:
    """Clock ticks since the machine was started."""
    try:
        status = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8", errors="replace")
    except OSError:
        return None
    fields = status.rpartition(")")[2].split()  # The name before it may hold anything.
    return None if fields[0] in _ENDED else int(fields[19])


def _birth_by_clock(pid: int) -> int | None:
    """Microseconds of wall time, as they were noted then."""
    try:
        process = psutil.Process(pid)
        return None if process.status() == psutil.STATUS_ZOMBIE else round(process.create_time() * 1_000_000)
    except psutil.Error:
        return None
