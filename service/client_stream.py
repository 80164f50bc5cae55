"""A client's socket; what is sent to it has to be taken in time."""

import errno
import socket
from contextlib import suppress

import trio

from statemachines.units import KIB

PIECE_BYTES = 64 * KIB
"""What has to be taken within the limit: a client that is slow has not stopped."""


class ClientStream:
    """A client's socket as hypercorn wants it; what is sent has to be taken in time.

    Attributes:
        socket: for its addresses.
        has_stalled: the client did not take what was sent.
    """

    def __init__(self, stream: trio.SocketStream, stall_s: float) -> None:
        self.socket = stream.socket
        self.has_stalled = False
        self._stream = stream
        self._stall_s = stall_s

    async def receive_some(self, bytes_max: int) -> bytes:
        """What has come; nothing at the end, however it came about."""
        try:
            return bytes(await self._stream.receive_some(bytes_max))
        except trio.BrokenResourceError as error:
            self._note(error)
        except trio.ClosedResourceError:
            pass
        return b""

    async def send_all(self, data: bytes) -> None:
        """Send all of it.

        Raises:
            trio.BrokenResourceError: the client is gone, or takes nothing.
        """
        for start in range(0, len(data), PIECE_BYTES):
            with trio.move_on_after(self._stall_s) as limit:
                await self._send(data[start : start + PIECE_BYTES])
            if limit.cancelled_caught:
                self.has_stalled = True
                self.cut()
                raise trio.BrokenResourceError("the client takes nothing")

    async def _send(self, piece: bytes) -> None:
        try:
            await self._stream.send_all(piece)
        except trio.BrokenResourceError as error:
            self._note(error)
            raise
        except trio.BusyResourceError:
            # Our end is being closed in this moment, because the client has left: what is sent now comes too late.
            raise trio.BrokenResourceError("our last word is said") from None

    def _note(self, error: trio.BrokenResourceError) -> None:
        """The system has the same limit (`service.listener`) and may be quicker."""
        cause = error.__cause__
        self.has_stalled = self.has_stalled or (isinstance(cause, OSError) and cause.errno == errno.ETIMEDOUT)

    async def send_eof(self) -> None:
        await self._stream.send_eof()

    async def aclose(self) -> None:
        await self._stream.aclose()

    def cut(self) -> None:
        """End the connection under whoever sends or receives on it."""
        with suppress(OSError):
            self.socket.shutdown(socket.SHUT_RDWR)
