"""Targets, methods and framing that are bad whatever the body: as bytes on a connection, with the whole answer."""

from collections.abc import Iterator
from dataclasses import dataclass

import msgspec

NOT_FOUND, NOT_ALLOWED = "404 page not found", "405 method not allowed"


@dataclass(frozen=True)
class Sent:
    """One request by its bytes, on a connection of its own.

    Attributes:
        answer: the whole body of the answer.
    """

    about: str
    request: bytes
    status: int
    answer: str


def request(method: str, target: str, *head: str, body: bytes = b"") -> bytes:
    lines = [f"{method} {target} HTTP/1.1", "Host: localhost", "Connection: close", *head, "", ""]
    return "\r\n".join(lines).encode("latin-1") + body


def _openai(status: int, message: str) -> str:
    kind = {400: "invalid_request_error", 404: "not_found_error"}[status]
    error = {"message": message, "type": kind, "param": None, "code": None}
    return msgspec.json.encode({"error": error}).decode()


MODELS: dict[str, tuple[int, str]] = {
    "%2e%2e%2f%2e%2e%2fetc%2fpasswd": (400, "invalid model name"),
    "../../etc/passwd": (400, "invalid model name"),
    "..": (400, "invalid model name"),
    ".": (400, "invalid model name"),
    "%252e%252e%252f": (400, "invalid model name"),
    "..%5c..%5cdemo": (400, "invalid model name"),
    "demo%00": (400, "invalid model name"),
    "demo%00.gguf": (400, "invalid model name"),
    "%1b%5b31mdemo": (400, "invalid model name"),
    "d%D0%B5mo": (400, "invalid model name"),
    "%ff%fe": (400, "invalid model name"),
    "%zz": (400, "invalid model name"),
    "%": (400, "invalid model name"),
    "a" * 9_000: (400, "invalid model name"),
    "a/" * 2_000 + "a": (400, "invalid model name"),
    "%20": (400, "model is required"),
    "nope": (404, "model 'nope:latest' not found"),
    "demo.gguf": (404, "model 'demo.gguf:latest' not found"),
}
"""What follows ``/v1/models/``, with status and message."""

NO_PATHS = [
    *("/..", "/../etc/passwd", "/%2e%2e/etc/passwd", "//etc/passwd", "/etc/passwd", "/v1/models//etc/passwd"),
    *(
        "/v1/models/%2fetc%2fpasswd",
        "/v1/models/demo%0a",
        "/v1/models/de%0d%0aX-Evil:%201",
        "/static/app.js",
        "/favicon.ico",
        "/.git/config",
        "/.env",
    ),
    *("/api/tags;jsessionid=1", "/api/tags%00", "/API/tags", "/api/blobs/sha256:../../etc/passwd", "/debug"),
    *("/debug/vars", "/debug/pprof/", "/debug/pprof/heap", "/debug/state/../x", "http://169.254.169.254/latest"),
]
"""Paths of which none is a route; each of them leads somewhere in some other program."""


def rows() -> Iterator[Sent]:
    """All of them."""
    for name, (status, message) in MODELS.items():
        target = f"/v1/models/{name}"
        yield Sent(f"GET {target:.60}", request("GET", target), status, _openai(status, message))
    for target in NO_PATHS:
        yield Sent(f"GET {target}", request("GET", target), 404, NOT_FOUND)
    for method in ("GET", "PUT", "PATCH", "DELETE", "TRACE", "CONNECT", "PROPFIND", "FOO"):
        yield Sent(f"{method} /api/chat", request(method, "/api/chat"), 405, NOT_ALLOWED)
    for head in (
        "Content-Length: -1",
        f"Content-Length: {10**20}",
        "Content-Length: x",
        "Content-Length: 2\r\nContent-Length: 3",
    ):
        yield Sent(head, request("POST", "/api/chat", head, body=b"{}"), 400, "")
    yield Sent("an unknown coding", request("POST", "/api/chat", "Transfer-Encoding: gzip", body=b"{}"), 501, "")
    chunked = "Transfer-Encoding: chunked"
    for heads in (f"Content-Length: 5\r\n{chunked}", f"{chunked}\r\nContent-Length: 5"):
        yield Sent("two lengths", request("POST", "/api/chat", heads, body=b"0\r\n\r\n"), 400, "")
    yield Sent("chunks of no length", request("POST", "/api/chat", chunked, body=b"zz\r\n{}\r\n"), 400, "")
    yield Sent(
        "no chunks", request("POST", "/api/chat", chunked, body=b"0\r\n\r\n"), 400, _told("missing request body")
    )


def oversized(limit_bytes: int, limit: str) -> Iterator[Sent]:
    """Bodies larger than ``limit_bytes``, refused by their announcement: nothing of them is sent."""
    message = f"the request body is larger than {limit}"
    for length in (limit_bytes + 1, 1 << 40, 10**19):
        for path in ("/api/generate", "/api/chat", "/api/show"):
            sent = request("POST", path, f"Content-Length: {length}")
            yield Sent(f"{length} bytes for {path}", sent, 413, _told(message))
        error = {"message": message, "type": "api_error", "param": None, "code": None}
        sent = request("POST", "/v1/chat/completions", f"Content-Length: {length}")
        yield Sent(f"{length} bytes for /v1", sent, 413, msgspec.json.encode({"error": error}).decode())


def chunks_beyond(limit_bytes: int) -> bytes:
    """A chunked body that says nothing of its length and has one byte too many."""
    data = b" " * (limit_bytes + 1)
    return request("POST", "/api/chat", "Transfer-Encoding: chunked", body=b"%x\r\n%b\r\n0\r\n\r\n" % (len(data), data))


def _told(message: str) -> str:
    return msgspec.json.encode({"error": message}).decode()
