"""Errors as HTTP tells them: a status, one sentence, and the envelope of the API that was called.

Handlers raise `ApiError`; refusals of the core become one here (`from_refusal`). Which envelope wraps the sentence is
decided by the path alone, so an error that happens before any handler runs looks right as well.
"""

import secrets

from statemachines.errors import Refusal, RefusalCode

# What clients of this API match on (two spaces and all).
QUEUE_FULL_TEXT = "server busy, please try again.  maximum pending requests exceeded"

_OPENAI_TYPES = {400: "invalid_request_error", 404: "not_found_error"}
_ANTHROPIC_TYPES = {
    400: "invalid_request_error",
    401: "authentication_error",
    403: "permission_error",
    404: "not_found_error",
    429: "rate_limit_error",
    503: "overloaded_error",
    529: "overloaded_error",
}


class ApiError(Exception):
    """What a client is told instead of an answer.

    Attributes:
        retry_after_s: value of the ``Retry-After`` header [s]; None for no header.
        streamed: it took the place of the first piece of a stream, whose errors have a content type of their own.
    """

    def __init__(self, status: int, message: str, *, retry_after_s: int | None = None, streamed: bool = False) -> None:
        super().__init__(message)
        self.status = status
        self.message = message
        self.retry_after_s = retry_after_s
        self.streamed = streamed


def from_refusal(refusal: Refusal, *, streamed: bool = False) -> ApiError:
    """The answer to a request that the service refused."""
    message = QUEUE_FULL_TEXT if refusal.code is RefusalCode.QUEUE_FULL else refusal.message
    return ApiError(refusal.status_hint, message, retry_after_s=refusal.retry_hint_s, streamed=streamed)


def not_served(what: str) -> ApiError:
    """A known wish that this version cannot fulfil: named, never ignored."""
    return ApiError(501, f"{what} is not served yet; leave it out to get the default behaviour")


def internal_error(label: str) -> ApiError:
    """The one sentence for everything unexpected; the log has the rest under the same id."""
    return ApiError(500, f"internal error; the server's log has the details under request id {label}")


def envelope(path: str, status: int, message: str) -> dict[str, object]:
    """``message`` as the API at ``path`` wraps errors."""
    if path == "/v1/messages":
        return _anthropic_envelope(status, message)
    if path.startswith("/v1/"):
        return openai_envelope(status, message)
    return {"error": message}


def openai_envelope(status: int, message: str) -> dict[str, object]:
    kind = _OPENAI_TYPES.get(status, "api_error")
    return {"error": {"message": message, "type": kind, "param": None, "code": None}}


def _anthropic_envelope(status: int, message: str) -> dict[str, object]:
    error = {"type": _ANTHROPIC_TYPES.get(status, "api_error"), "message": message}
    return {"type": "error", "error": error, "request_id": f"req_{secrets.token_hex(12)}"}
