"""``GET /debug/events``: the end of the journal, and with ``?follow=1`` what comes, as server-sent events.

Each step has an id: this start of the service, and the number of the step. A client that follows and loses its
connection sends the last id it has seen and misses nothing that the ring still holds. What it does miss it is told.
"""

from collections.abc import AsyncGenerator, Iterator, Sequence
from typing import TypeVar

import msgspec
import trio
from quart import Response

from service.http.errors import ApiError
from service.http.exchange import Exchange
from service.http.operators.query import Query, is_number, parse_query
from service.http.replies import NDJSON, SSE, stream_reply
from service.http.times import rfc3339_local
from service.operators.tail import Missed, Numbered, Tail
from statemachines.effects import AnyEffect
from statemachines.events import AnyEvent

T = TypeVar("T")
QUIET_S = 15
"""After this long without a word a follower hears that it is still followed [s]: less than proxies wait."""
PIECE_STEPS = 200
"""Steps that are written before others have their turn [count]."""
_OPENING = b": following\n\n"
"""The head of an answer leaves with its first piece, and the first step may be long in coming."""
_STILL_HERE = b": still here\n\n"


class Step(msgspec.Struct, frozen=True):
    """One step as it is shown."""

    id: str
    time: str
    event: AnyEvent
    effects: tuple[AnyEffect, ...]


async def debug_events(exchange: Exchange) -> Response:
    """The latest steps as JSON lines, or these and what follows as server-sent events.

    Raises:
        ApiError: 400, a parameter is not what it may be; 503, too many follow already.
    """
    query = parse_query(exchange)
    tail = exchange.lookout.tail(query.interest)
    if not query.follow:
        return stream_reply(_lines(exchange, tail, query.limit), NDJSON)
    if not exchange.stack.enter_context(exchange.lookout.following()):
        raise ApiError(
            503, "as many follow the journal as may (setting followers); end another one first", retry_after_s=60
        )
    return stream_reply(_frames(exchange, tail, query), SSE)


async def _lines(exchange: Exchange, tail: Tail, limit: int) -> AsyncGenerator[bytes, None]:
    for some in _pieces(await tail.latest(limit)):
        yield b"".join(_encode(exchange, one) + b"\n" for one in some)


async def _frames(exchange: Exchange, tail: Tail, query: Query) -> AsyncGenerator[bytes, None]:
    """Where to begin, then whatever there is, until the service ends."""
    yield _OPENING
    for some in _pieces(await _beginning(exchange, tail, query)):
        yield b"".join(_frame(exchange, one) for one in some)
    quiet_since = trio.current_time()
    while not tail.is_over:
        if words := _further(exchange, tail) or await _silence(tail, quiet_since + QUIET_S):
            yield words
            quiet_since = trio.current_time()


def _further(exchange: Exchange, tail: Tail) -> bytes:
    """What is there to be told; nothing where none of the next steps is of interest."""
    missed = tail.missed()
    return b"".join(_frame(exchange, one) for one in (*([missed] if missed else ()), *tail.take()))


async def _silence(tail: Tail, until: float) -> bytes:
    """Wait for a step, whomever it interests; what to say when it is time to say something."""
    with trio.move_on_at(until):
        await trio.lowlevel.checkpoint()
        await tail.wait()
        return b""
    return _STILL_HERE


def _pieces(items: Sequence[T]) -> Iterator[Sequence[T]]:
    for first in range(0, len(items), PIECE_STEPS):
        yield items[first : first + PIECE_STEPS]


async def _beginning(exchange: Exchange, tail: Tail, query: Query) -> Sequence[Numbered | Missed]:
    """(1) The latest steps. (2) Behind the last one that was read. (3) That was of another start: all there is."""
    if not query.last_id:  # (1)
        return await tail.latest(query.limit)
    start, _, number = query.last_id.rpartition("-")
    if start == exchange.lookout.start and is_number(number):  # (2)
        await tail.go_on_after(int(number))
        return []
    tail.go_to_oldest()  # (3)
    return [Missed(None)]


def _frame(exchange: Exchange, item: Numbered | Missed) -> bytes:
    """One server-sent event. What was missed has no id: the last step that was read stays the last."""
    if isinstance(item, Missed):
        return b"event: missed\ndata: " + msgspec.json.encode(item) + b"\n\n"
    return f"id: {_id(exchange, item)}\nevent: step\ndata: ".encode() + _encode(exchange, item) + b"\n\n"


def _encode(exchange: Exchange, numbered: Numbered) -> bytes:
    entry = numbered.entry
    time = rfc3339_local(exchange.front.wall_time_ns(entry.event.at))
    return msgspec.json.encode(Step(_id(exchange, numbered), time, entry.event, entry.effects))


def _id(exchange: Exchange, numbered: Numbered) -> str:
    return f"{exchange.lookout.start}-{numbered.number}"
