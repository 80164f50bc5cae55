"""One row of the table of bad input: what is sent where, and exactly what is answered.

The rows are sent to the application with a scripted service behind it (`tests/service/http/test_bad_input.py`) and
over a socket to a whole service with an engine (`tests/integration/test_bad_input.py`): the answers must be the same.
"""

from dataclasses import dataclass
from typing import Any

import msgspec

TURN = {"role": "user", "content": "hi"}
GOOD: dict[str, dict[str, Any]] = {
    "/api/generate": {"model": "demo", "prompt": "hi", "stream": False},
    "/api/chat": {"model": "demo", "messages": [TURN], "stream": False},
    "/api/show": {"model": "demo"},
    "/v1/chat/completions": {"model": "demo", "messages": [TURN]},
}
"""A body that is answered with 200, for each route that takes one."""

_OPENAI_TYPES = {400: "invalid_request_error", 404: "not_found_error"}


@dataclass(frozen=True)
class Row:
    """One request and its answer.

    Attributes:
        about: what is wrong with it, in a few words.
        message: the whole sentence of the answer.
    """

    about: str
    path: str
    body: bytes
    status: int
    message: str

    @property
    def answer(self) -> dict[str, Any]:
        """The whole body of the answer, in the envelope of its API."""
        if not self.path.startswith("/v1/"):
            return {"error": self.message}
        kind = _OPENAI_TYPES.get(self.status, "api_error")
        return {"error": {"message": self.message, "type": kind, "param": None, "code": None}}


def row(about: str, path: str, changes: dict[str, Any], status: int, message: str) -> Row:
    """A row whose body is the good one of its route with something changed."""
    return Row(about, path, msgspec.json.encode({**GOOD[path], **changes}), status, message)
