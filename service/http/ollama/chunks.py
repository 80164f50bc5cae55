"""Chunks of ``/api/generate`` and ``/api/chat``: one JSON object each, a line of its own in a stream."""

from collections.abc import Callable, Iterable

import msgspec

from service.http.answering import metrics
from service.http.exchange import Exchange
from service.http.times import rfc3339_utc
from statemachines.wire.messages import LeaseEnded

Shape = Callable[[str], dict[str, object]]
"""How an endpoint calls its text: ``response`` or ``message``."""


def chunk(exchange: Exchange, name: str, text: dict[str, object], *, done: bool, reason: str = "") -> dict[str, object]:
    """One chunk, without metrics."""
    head: dict[str, object] = {"model": name, "created_at": rfc3339_utc(exchange.wall_ns())}
    return {**head, **text, "done": done, **({"done_reason": reason} if reason else {})}


def last_chunk(
    exchange: Exchange, name: str, text: dict[str, object], ended: LeaseEnded, load_ns: int
) -> dict[str, object]:
    """The chunk that closes an answer: why it ended, its context if there is one, and its metrics."""
    body = chunk(exchange, name, text, done=True, reason=ended.reason.value)
    if ended.context:
        body["context"] = ended.context
    return {**body, **metrics(exchange, ended, load_ns)}


class NdjsonWriter:
    """An answer as lines of JSON."""

    def __init__(self, exchange: Exchange, name: str, shape: Shape, load_ns: int) -> None:
        self._exchange = exchange
        self._name = name
        self._shape = shape
        self._load_ns = load_ns

    def text(self, text: str) -> Iterable[bytes]:
        yield _line(chunk(self._exchange, self._name, self._shape(text), done=False))

    def end(self, ended: LeaseEnded) -> Iterable[bytes]:
        yield _line(last_chunk(self._exchange, self._name, self._shape(""), ended, self._load_ns))

    def failed(self, message: str) -> Iterable[bytes]:
        yield _line({"error": message})


def _line(body: object) -> bytes:
    return msgspec.json.encode(body) + b"\n"
