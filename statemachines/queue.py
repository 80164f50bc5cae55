"""Whose turn it is: order of arrival, and the bound on how many may wait.

Fair shares between clients and priorities will live here too; the rest of the core asks only for the order.
"""

from collections import deque
from collections.abc import Iterable

from statemachines.entities import Request
from statemachines.errors import Refusal, RefusalCode
from statemachines.units import whole_seconds

RETRY_S_MAX = 60
"""The longest that a client of a full queue is sent away for [s]: the pace of a minute ago says little."""
GRANTS_KEPT = 8
"""How many of the latest grants tell how fast the queue moves [count]."""


class Pace:
    """How fast the queue moves, by its latest grants; what was before it was last empty does not count."""

    def __init__(self) -> None:
        self._times: deque[int] = deque([0], maxlen=GRANTS_KEPT)

    def begin(self, at: int) -> None:
        """The first one waits."""
        self._times.clear()
        self._times.append(at)

    def note_grant(self, at: int) -> None:
        self._times.append(at)

    def per_grant_ns(self, at: int) -> int:
        """From one grant to the next, the one that is still to come counted [ns]."""
        return (at - self._times[0]) // len(self._times)


def in_turn(requests: Iterable[Request]) -> list[Request]:
    """Requests in the order in which they are to be served."""
    return sorted(requests, key=lambda request: request.arrived_step)


def queue_full(waiting: int, queue_len_max: int, per_grant_ns: int) -> Refusal | None:
    """The refusal of a request that would wait as one too many, or None.

    The wording is what Ollama's clients know.
    """
    if waiting < queue_len_max:
        return None
    return Refusal(
        RefusalCode.QUEUE_FULL,
        "server busy, please try again.  maximum pending requests exceeded",
        min(whole_seconds(per_grant_ns), RETRY_S_MAX),
    )
