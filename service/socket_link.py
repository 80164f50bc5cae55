"""A runner's link as the service holds it: a `ByteLink` over one end of a socket pair."""

import socket

import trio

RECEIVE_BYTES_MAX = 1 << 18
"""Read at a time; about what a socket buffer holds."""


class SocketLink:
    """Bytes to and from one runner. A send that was cancelled may have written half: the link is of no use after it."""

    def __init__(self, sock: socket.socket) -> None:
        self._socket = sock
        self._stream = trio.SocketStream(trio.socket.from_stdlib_socket(sock))

    @property
    def fd(self) -> int:
        """Its descriptor in this process, for the log; -1 when it is closed."""
        return self._stream.socket.fileno()

    def send_now(self, data: bytes) -> bytes:
        """Write what the socket takes, and return the rest; what is wrong with the link is told by `send`."""
        try:
            return data[self._socket.send(data) :]
        except OSError:
            return data

    async def send(self, data: bytes) -> None:
        """Write all of ``data``.

        Raises:
            trio.BrokenResourceError: the runner's end is gone.
            trio.ClosedResourceError: our end is closed.
        """
        await self._stream.send_all(data)

    async def receive(self) -> bytes:
        """What has come, waiting for it; ``b""`` at the end, however it came about.

        Raises:
            trio.ClosedResourceError: our end is closed.
        """
        try:
            return bytes(await self._stream.receive_some(RECEIVE_BYTES_MAX))
        except trio.BrokenResourceError:
            return b""

    async def aclose(self) -> None:
        """Let go of the runner, which then ends; safe to call twice."""
        await self._stream.aclose()
