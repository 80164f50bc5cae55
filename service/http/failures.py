"""From whatever a handler raised to an answer in the envelope of its API."""

from quart import Response
from quart import request as current_request
from structlog.typing import FilteringBoundLogger
from werkzeug.exceptions import HTTPException, MethodNotAllowed, NotFound, RequestEntityTooLarge, RequestTimeout

from service.config import Settings
from service.http.errors import ApiError, envelope, from_refusal, internal_error
from service.http.replies import BARE_JSON, BARE_TEXT, JSON, json_reply, reply
from statemachines.errors import RoundhouseError
from statemachines.units import format_bytes, format_duration


def answer_to(error: Exception, *, label: str, settings: Settings, log: FilteringBoundLogger) -> Response:
    """The answer instead of a result.

    (1) What the router says is plain text. (2) What the framework says gets a sentence of ours. (3) Refusals say
    what they say. (4) Everything else is our fault: one constant sentence, and the log has the rest.
    """
    if isinstance(error, NotFound | MethodNotAllowed):  # (1)
        return _router_text(error)
    if isinstance(error, RequestEntityTooLarge):  # (2)
        return _told(ApiError(413, f"the request body is larger than {format_bytes(settings.body_bytes_max)}"))
    if isinstance(error, RequestTimeout):
        return _told(
            ApiError(408, f"the request body took longer than {format_duration(settings.body_ns)}; send it again")
        )
    if isinstance(error, HTTPException):
        return _told(ApiError(error.code or 500, (error.name or "error").lower()))
    if isinstance(error, RoundhouseError):  # (3)
        return _told(from_refusal(error.refusal))
    if isinstance(error, ApiError):
        return _told(error)
    log.error("a request failed", request=label, path=current_request.path, exc_info=error)  # (4)
    return _told(internal_error(label))


def _told(error: ApiError) -> Response:
    path = current_request.path
    bare = path.startswith("/v1/") or error.streamed
    body = envelope(path, error.status, error.message)
    response = json_reply(body, error.status, content_type=BARE_JSON if bare else JSON)
    if error.retry_after_s is not None:
        response.headers["Retry-After"] = str(error.retry_after_s)
    return response


def _router_text(error: NotFound | MethodNotAllowed) -> Response:
    if isinstance(error, NotFound):
        return reply(b"404 page not found", 404, BARE_TEXT)
    allowed = {"Allow": ", ".join(error.valid_methods)} if error.valid_methods else {}
    return reply(b"405 method not allowed", 405, BARE_TEXT, allowed)
