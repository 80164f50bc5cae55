"""Hypercorn's HTTP/1.1 as we let clients speak it: no other protocol, heads within our limits, nobody unheard."""

from collections.abc import Awaitable, Callable
from typing import Any
from urllib.parse import unquote, urlsplit

import h11
import trio
from hypercorn.events import Closed, Event, RawData
from hypercorn.protocol.h11 import H11Protocol
from hypercorn.trio.worker_context import EventWrapper

_LENGTHS = frozenset((b"content-length", b"transfer-encoding"))
"""Two answers to how long a body is. A proxy may believe the other one, and let a second request through as a body."""


LINE_END = b"\r\n"


class HeadRefused(Exception):
    """The head of a request is not served here."""

    def __init__(self, status: int) -> None:
        super().__init__(status)
        self.status = status


class Turn(EventWrapper):
    """When the next request's turn comes, where a client has said more than one, or has offered another protocol.

    Hypercorn waits for it and is deaf meanwhile: that the client has left would be noticed with the first piece of its
    answer, and a whole answer be computed for nobody. Java's own client makes that offer with every request.

    Args:
        listen: hears the client until it is cancelled.
    """

    def __init__(self, listen: Callable[[], Awaitable[None]]) -> None:
        super().__init__()
        self._listen = listen

    async def wait(self) -> None:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(self._listen)
            await super().wait()
            nursery.cancel_scope.cancel()


class Conversation(h11.Connection):
    """Line ends before a request and whatever comes behind the last one that a client may make: heard and forgotten.

    A line's end behind a body is common among clients that write HTTP by hand. h11 takes it for a broken protocol, and
    hypercorn then ends the request that is under way, or gives the client a second answer (RFC 9112, section 2.2).
    """

    def receive_data(self, data: bytes) -> None:
        if self.their_state is h11.MUST_CLOSE:
            return
        if data and self.their_state is h11.IDLE and not self.trailing_data[0]:
            data = data.lstrip(LINE_END)
            if not data:
                return  # Of an empty piece h11 would make the client's last word.
        super().receive_data(data)

    def start_next_cycle(self) -> None:
        super().start_next_cycle()
        early = self.trailing_data[0]
        self._receive_buffer.maybe_extract_at_most(len(early) - len(early.lstrip(LINE_END)))

    def next_event(self) -> h11.Event | type[h11.NEED_DATA] | type[h11.PAUSED]:
        return h11.NEED_DATA if self.their_state is h11.MUST_CLOSE else super().next_event()


def _word(value: bytes) -> str:
    """As hypercorn reads it, who takes more for a space than HTTP does: what we do not see here it would serve."""
    return value.decode("latin-1").strip().lower()


def _is_legible(target: bytes) -> bool:
    """Whether the framework can take the target apart; it may be a whole address. Its own attempt has no answer."""
    if target.startswith(b"/"):
        return True
    try:
        urlsplit(unquote(target.partition(b"?")[0].decode("ascii")))
    except ValueError:
        return False
    return True


class Http1(H11Protocol):
    """Hypercorn's HTTP/1.1 and nothing else.

    HTTP/2 has a flow control of its own: a client could hold an answer that it never takes on a connection that looks
    alive, and a hundred requests on one connection. Without TLS no client of these APIs speaks it. A WebSocket has
    none of the limits that a request has, and no route speaks it.

    The head of an answer leaves with the first piece of its body: one system call less before the first token, one
    packet less for a short answer. So whoever streams an answer has its first piece ready when it begins.
    """

    fields_max = 0

    def __init__(self, *args: Any) -> None:
        super().__init__(*args)
        self.connection = Conversation(h11.SERVER, max_incomplete_event_size=self.config.h11_max_incomplete_size)
        self._held = b""

    async def handle(self, event: Event) -> None:
        try:
            await super().handle(event)
        except HeadRefused as refused:
            await self.refuse(refused.status)

    async def _check_protocol(self, event: Any) -> None:
        """Hypercorn's place for a change of protocol: the head is there, and its request has not begun."""
        if event.http_version > b"1.1":
            raise HeadRefused(505)
        if {name for name, _ in event.headers} >= _LENGTHS:
            raise HeadRefused(400)
        if len(event.headers) > self.fields_max:
            raise HeadRefused(431)
        if any(name == b"upgrade" and _word(value) == "websocket" for name, value in event.headers):
            raise HeadRefused(403)
        if not _is_legible(event.target):
            raise HeadRefused(400)

    async def _send_h11_event(self, event: Any) -> None:
        try:
            self._held += self.connection.send(event) or b""
        except h11.LocalProtocolError:
            if self.connection.their_state is not h11.ERROR:
                raise
        if not isinstance(event, h11.Response):
            await self._send_held()

    async def _maybe_recycle(self) -> None:
        await self._send_held()  # An answer may have ended behind its head, because what made it has failed.
        await super()._maybe_recycle()

    async def _send_held(self) -> None:
        data, self._held = self._held, b""
        if data:
            await self.send(RawData(data))

    @property
    def early_bytes(self) -> int:
        """What the client has said already of its next request [bytes]."""
        return len(self.connection.trailing_data[0])

    def keep(self, data: bytes) -> None:
        """What the client says before its turn; read when that comes."""
        self.connection.receive_data(data)

    async def refuse(self, status: int) -> None:
        """Answer in the place of a request, and be done with the client."""
        await self._send_error_response(status)
        await self.send(Closed())
