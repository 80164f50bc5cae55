"""Deadlines as data: armed, disarmed and handed out when their time has come; nothing here knows what time it is.

A deadline is filed under (name, owner). Arming it again moves it. Entries that were moved or disarmed stay in the
heap until they surface or outnumber the armed ones, when the heap is made anew; so every operation is O(log n)
amortised and the heap never holds more than twice what is armed, and some.
"""

import heapq
from enum import StrEnum


class DeadlineName(StrEnum):
    """What becomes due. The owner's kind is in parentheses."""

    WAIT = "wait"  # (request)
    CANCEL_ACK = "cancel_ack"  # (lease)
    GRACE = "grace"  # (load)
    BACKOFF = "backoff"  # (load)
    STALL = "stall"  # (runner)
    IDLE = "idle"  # (runner)
    WEDGE = "wedge"  # (runner)
    DRAIN = "drain"  # (runner)
    TERM = "term"  # (runner)
    KILL = "kill"  # (runner)
    PLAN = "plan"  # (0: the scheduler itself)


Filed = tuple[DeadlineName, int]

_SPARE_ENTRIES = 64


class Deadlines:
    """All armed deadlines."""

    def __init__(self) -> None:
        self._heap: list[tuple[int, int, Filed]] = []
        self._armed: dict[Filed, tuple[int, int]] = {}
        self._count = 0

    def __len__(self) -> int:
        return len(self._armed)

    def arm(self, name: DeadlineName, owner: int, due: int) -> None:
        """Make (name, owner) due at ``due`` [ns of core time], instead of any earlier choice."""
        self._count += 1
        self._armed[name, owner] = (due, self._count)
        heapq.heappush(self._heap, (due, self._count, (name, owner)))
        if len(self._heap) > 2 * len(self._armed) + _SPARE_ENTRIES:
            self._heap = [(at, count, filed) for filed, (at, count) in self._armed.items()]
            heapq.heapify(self._heap)

    def disarm(self, name: DeadlineName, owner: int) -> None:
        """Forget (name, owner); nothing happens if it is not armed."""
        self._armed.pop((name, owner), None)

    def due_at(self, name: DeadlineName, owner: int) -> int | None:
        """When (name, owner) is due, or None."""
        entry = self._armed.get((name, owner))
        return None if entry is None else entry[0]

    def next_due(self) -> int | None:
        """The earliest due time of all, or None."""
        while self._heap and self._is_stale(self._heap[0]):
            heapq.heappop(self._heap)
        return self._heap[0][0] if self._heap else None

    def mark(self) -> int:
        """The arming that came last; see `pop_due`."""
        return self._count

    def pop_due(self, now: int, *, armed_by: int) -> Filed | None:
        """Disarm and return the earliest deadline that is due, oldest arming first; None when none is.

        Args:
            armed_by: a `mark`; what was armed after it stays, so that a deadline which arms itself again is not
                handed out for ever.
        """
        due = self.next_due()
        if due is None or due > now or self._heap[0][1] > armed_by:
            return None
        _, _, filed = heapq.heappop(self._heap)
        del self._armed[filed]
        return filed

    def _is_stale(self, entry: tuple[int, int, Filed]) -> bool:
        due, count, filed = entry
        return self._armed.get(filed) != (due, count)
