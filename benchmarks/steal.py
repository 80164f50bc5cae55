"""Processor time that the host gives to others, and measurements that are repeated when it did.

A virtual machine is halted while its host serves somebody else, and what is measured meanwhile says nothing about the
program. Linux counts that time in ``/proc/stat``, in steps of 10 ms.
"""

import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Generic, TypeVar

T = TypeVar("T")

SHARE_MAX = 0.01
"""Stolen time over time that passed; above it a measurement is repeated."""
REPEATS_MAX = 5
"""How often one measurement is repeated before it counts as it is."""
TICKS_PER_S = 100
_SHORTEST_S = 0.01


@dataclass(frozen=True)
class Reading:
    """Both clocks at one moment [s]."""

    stolen_s: float
    passed_s: float


@dataclass(frozen=True)
class Undisturbed(Generic[T]):
    """One measurement.

    Attributes:
        steal_share: of the attempt that counts; above `SHARE_MAX` only when every attempt was.
        repeats: attempts before it that do not count.
    """

    value: T
    steal_share: float
    repeats: int

    @property
    def is_disturbed(self) -> bool:
        return self.steal_share > SHARE_MAX


def read() -> Reading:
    """Both clocks now; where nothing is counted nothing was stolen."""
    try:
        stolen_s = int(Path("/proc/stat").read_text().split()[8]) / TICKS_PER_S
    except OSError:
        stolen_s = 0.0
    return Reading(stolen_s, time.perf_counter())


def share(before: Reading, after: Reading) -> float:
    """Stolen time, over all cores, as a share of the time that passed."""
    return (after.stolen_s - before.stolen_s) / max(after.passed_s - before.passed_s, _SHORTEST_S)


def undisturbed(act: Callable[[], T], clocks: Callable[[], Reading] = read) -> Undisturbed[T]:
    """Measure, again if the host took more than `SHARE_MAX` of the time, at most `REPEATS_MAX` times again."""
    repeats = 0
    while True:
        before = clocks()
        value = act()
        steal_share = share(before, clocks())
        if steal_share <= SHARE_MAX or repeats == REPEATS_MAX:
            return Undisturbed(value, steal_share, repeats)
        repeats += 1
