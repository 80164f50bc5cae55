"""How often one complaint is made: a trouble that goes on is told now and then, with how often it was met meanwhile."""

import time
from collections.abc import Callable

COMPLAINT_S = 60


class Seldom:
    """Lets one of many equal complaints through, and counts those that it holds back."""

    def __init__(self, *, every_s: float = COMPLAINT_S, now_s: Callable[[], float] = time.monotonic) -> None:
        self._every_s = every_s
        self._now_s = now_s
        self._due_s = float("-inf")
        self._held = 0

    def lets_through(self) -> bool:
        """Whether this one may be made."""
        if self._now_s() < self._due_s:
            self._held += 1
            return False
        self._due_s = self._now_s() + self._every_s
        return True

    def take_held(self) -> int:
        """How many were held back since this was last asked [count]."""
        held, self._held = self._held, 0
        return held
