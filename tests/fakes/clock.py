"""A clock that follows trio's, so that `MockClock` moves it and nothing waits for real."""

import math

import trio

from statemachines.units import NS_PER_S

WALL_START_NS = 1_800_000_000 * NS_PER_S
"""Some day in January 2027."""


class TrioClock:
    """Core time is trio's time since this clock was made."""

    def __init__(self) -> None:
        self._start = trio.current_time()

    def now_ns(self) -> int:
        return round((trio.current_time() - self._start) * NS_PER_S)

    def wall_ns(self) -> int:
        return WALL_START_NS + self.now_ns()

    def deadline(self, due_ns: int | None) -> float:
        return math.inf if due_ns is None else self._start + due_ns / NS_PER_S


class HandClock:
    """Stands still unless a test moves it; for code that only reads the time."""

    def __init__(self, now_ns: int = 0) -> None:
        self.now = now_ns

    def now_ns(self) -> int:
        return self.now

    def wall_ns(self) -> int:
        return WALL_START_NS + self.now

    def deadline(self, due_ns: int | None) -> float:
        return math.inf if due_ns is None else -math.inf if due_ns <= self.now else math.inf
