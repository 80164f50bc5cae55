"""Request names that are the same in every run."""

import itertools

from statemachines.units import RequestId


class CountedIds:
    """1, 2, 3 and ``test-1``, ``test-2``, ``test-3``."""

    def __init__(self) -> None:
        self._numbers = itertools.count(1)

    def next_request(self) -> RequestId:
        return RequestId(next(self._numbers))

    def label(self, request: RequestId) -> str:
        return f"test-{request}"
