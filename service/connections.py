"""Who is connected, and how many may be: the rest is told so at once instead of being left to wait.

Every connection takes a descriptor, and so does every runner, several even. So clients get all but a reserve, and
whatever they do a runner can still be started. One connection too many is answered with 503 on the spot. Those who are
being told are few, too: beyond `REFUSALS_MAX` at a time a connection is just closed.
"""

from collections.abc import Callable

import msgspec
import trio
from structlog.typing import FilteringBoundLogger

from service.connection import Connection
from service.http.replies import JSON
from service.seldom import Seldom

DESCRIPTORS_RESERVED = 256
"""For runners, model files, the journal and everything else that is not a connection."""
REFUSALS_MAX = 64
REFUSAL_S = 1
"""How long a refused client may take to read that it is refused."""
RETRY_AFTER_S = 1
_REFUSAL = msgspec.json.encode(
    {"error": "the server has as many connections as it can take (setting connections_max); try again in a moment"}
)

Headers = list[tuple[bytes, bytes]]


def connections_max(descriptors: int, wanted: int | None) -> int:
    """How many connections there may be at once: what is wanted, as far as the reserve is not touched.

    Args:
        descriptors: how many this process may have.
        wanted: None for as many as can be.
    """
    most = max(descriptors - DESCRIPTORS_RESERVED, descriptors // 2)
    return most if wanted is None else min(most, wanted)


class Connections:
    """The connections of one listener.

    Args:
        most: how many there may be [count].
        connect: makes the connection over a client's socket.
        headers: what every answer carries.
    """

    def __init__(
        self,
        most: int,
        *,
        connect: Callable[[trio.SocketStream], Connection],
        headers: Callable[[], Headers],
        log: FilteringBoundLogger,
    ) -> None:
        self._most = most
        self._connect = connect
        self._headers = headers
        self._log = log
        self._open: set[Connection] = set()
        self._refusals = 0
        self._is_hurried = False
        self._complaint = Seldom()

    def __len__(self) -> int:
        return len(self._open)

    async def serve(self, stream: trio.SocketStream) -> None:
        """Answer one client to its end, or tell it that there is no room."""
        if len(self._open) >= self._most:
            await self._turn_away(stream)
            return
        connection = self._connect(stream)
        self._open.add(connection)
        if self._is_hurried:  # accepted in the last moment
            connection.hurry()
        try:
            await connection.run()
        finally:
            self._open.discard(connection)

    def hurry(self) -> None:
        """End those that have no request under way, and whoever still comes."""
        self._is_hurried = True
        for connection in tuple(self._open):
            connection.hurry()

    def cut(self) -> None:
        """End all of them at once."""
        for connection in tuple(self._open):
            connection.cut()

    async def _turn_away(self, stream: trio.SocketStream) -> None:
        if self._complaint.lets_through():
            fields = {"connections": self._most, "setting": "connections_max", "unsaid": self._complaint.take_held()}
            self._log.warning("too many connections: a client is turned away", **fields)
        if self._refusals >= REFUSALS_MAX:
            return
        self._refusals += 1
        try:
            with trio.move_on_after(REFUSAL_S):
                await _tell(stream, refusal(self._headers()))
        finally:
            self._refusals -= 1


def refusal(common: Headers) -> bytes:
    """A whole answer that says no."""
    own = [
        (b"content-type", JSON.encode()),
        (b"content-length", str(len(_REFUSAL)).encode()),
        (b"retry-after", str(RETRY_AFTER_S).encode()),
        (b"connection", b"close"),
    ]
    head = b"".join(name + b": " + value + b"\r\n" for name, value in (*own, *common))
    return b"HTTP/1.1 503 Service Unavailable\r\n" + head + b"\r\n" + _REFUSAL


async def _tell(stream: trio.SocketStream, answer: bytes) -> None:
    """Send it, and read what the client says: closing before would make its system drop what it has not read yet."""
    try:
        await stream.send_all(answer)
        await stream.send_eof()
        while await stream.receive_some():
            pass
    except trio.BrokenResourceError:
        return
