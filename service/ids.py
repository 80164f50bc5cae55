"""Names for requests: a number for the core, and a string that no other start of the service gives out."""

import itertools
import secrets

from statemachines.units import RequestId


class RequestIds:
    """Counts requests from 1; the label adds what tells this start of the service from every other."""

    def __init__(self) -> None:
        self._start = secrets.token_hex(4)
        self._numbers = itertools.count(1)

    def next_request(self) -> RequestId:
        return RequestId(next(self._numbers))

    def label(self, request: RequestId) -> str:
        """What `X-Request-Id` and log lines show, such as ``5f0c1a9e-17``."""
        return f"{self._start}-{request}"
