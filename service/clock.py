"""The real clock: monotonic time for decisions, wall time for people, and how the two meet trio's own."""

import math
import time

import trio

from statemachines.units import NS_PER_S


class SystemClock:
    """The machine's clocks. A moment of core time is `time.monotonic_ns`, the same in every process."""

    def now_ns(self) -> int:
        return time.monotonic_ns()

    def wall_ns(self) -> int:
        return time.time_ns()

    def deadline(self, due_ns: int | None) -> float:
        """The trio deadline of a moment of core time; None never comes."""
        if due_ns is None:
            return math.inf
        return trio.current_time() + max(0, due_ns - self.now_ns()) / NS_PER_S
