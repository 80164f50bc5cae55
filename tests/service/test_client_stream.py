"""What is sent to a client that has left is lost, and no error of ours."""

from typing import Any

import pytest
import trio

from service.client_stream import ClientStream


class Closing:
    """A socket whose end is being closed by another task in the very moment of a send."""

    socket: Any = None

    async def send_all(self, data: bytes) -> None:
        raise trio.BusyResourceError("another task is currently sending data on this SocketStream")


async def test_a_send_that_meets_the_end_of_the_connection_comes_too_late() -> None:
    stream = ClientStream(Closing(), 60)  # type: ignore[arg-type]  # as far as it is used
    with pytest.raises(trio.BrokenResourceError, match="our last word"):
        await stream.send_all(b"one more piece")
    assert not stream.has_stalled
