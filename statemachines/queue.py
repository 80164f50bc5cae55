"""Whose turn it is: order of arrival, and the bound on how many may wait.

Fair shares between clients and priorities will live here too; the rest of the core asks only for the order.
"""

from collections.abc import Iterable

from statemachines.entities import Request
from statemachines.errors import Refusal, RefusalCode


def in_turn(requests: Iterable[Request]) -> list[Request]:
    """Requests in the order in which they are to be served."""
    return sorted(requests, key=lambda request: request.arrived_step)


def queue_full(waiting: int, queue_len_max: int) -> Refusal | None:
    """The refusal of a request that would wait as one too many, or None.

    The wording is what Ollama's clients know.
    """
    if waiting < queue_len_max:
        return None
    return Refusal(
        RefusalCode.QUEUE_FULL,
        "server busy, please try again.  maximum pending requests exceeded",
        retry_after_s=1,
    )
