"""Answers with the exact content types that clients look for."""

from collections.abc import AsyncGenerator, Mapping

import msgspec
from quart import Response

JSON = "application/json; charset=utf-8"
BARE_JSON = "application/json"
NDJSON = "application/x-ndjson"
SSE = "text/event-stream"
TEXT = "text/plain; charset=utf-8"
BARE_TEXT = "text/plain"


def json_reply(body: object, status: int = 200, *, content_type: str = JSON) -> Response:
    return reply(msgspec.json.encode(body), status, content_type)


def reply(body: bytes, status: int, content_type: str, headers: Mapping[str, str] | None = None) -> Response:
    return Response(body, status=status, content_type=content_type, headers=dict(headers or {}))


def no_content(headers: Mapping[str, str] | None = None) -> Response:
    """A 204, which must not say how long nothing is (RFC 9110, section 8.6)."""
    response = Response(b"", status=204, headers=dict(headers or {}))
    response.headers.remove("Content-Length")
    response.headers.remove("Content-Type")
    return response


def stream_reply(pieces: AsyncGenerator[bytes, None], content_type: str) -> Response:
    """An answer that is sent piece by piece, as long as it takes: it has no deadline of the framework's."""
    response = Response(pieces, content_type=content_type)
    response.timeout = None
    if content_type == SSE:
        response.headers["Cache-Control"] = "no-cache"
    return response
