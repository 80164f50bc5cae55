"""The app on a real port, carried as the service has it carried."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import msgspec
import trio

from service.carrier import Carrier
from service.http.app import create_app
from service.listener import bind
from service.logs import make_log
from service.operators.lookout import Lookout
from tests.fakes.front import FakeFront
from tests.fakes.lookout import lookout_of

HANG_S = 20
"""Ends a test that hangs; nothing is timed with it."""


@asynccontextmanager
async def served(front: FakeFront, lookout: Lookout | None = None, *, connections_max: int = 100) -> AsyncIterator[str]:
    """Serve ``front`` on a free port of 127.0.0.1; the address as ``127.0.0.1:<port>``."""
    log = make_log(log_format="json", level="warning")
    carrier = Carrier(
        front.settings,
        log,
        connections_max=connections_max,
        new_label=lambda: front.request_label(front.next_request()),
    )
    stop = trio.Event()
    with trio.fail_after(HANG_S), bind(msgspec.structs.replace(front.settings, port=0)) as listener:
        async with trio.open_nursery() as nursery:
            await nursery.start(carrier.run, create_app(front, lookout or lookout_of(front)), listener, stop)
            try:
                yield f"127.0.0.1:{listener.getsockname()[1]}"
            finally:
                stop.set()


async def exchange(address: str, request: bytes) -> bytes:
    """Send bytes, receive all that comes until the server closes."""
    host, _, port = address.rpartition(":")
    async with await trio.open_tcp_stream(host, int(port)) as stream:
        await stream.send_all(request)
        return b"".join([data async for data in stream])


def get(target: str, *head: str, method: str = "GET") -> bytes:
    lines = [f"{method} {target} HTTP/1.1", "Host: localhost", "Connection: close", *head, "", ""]
    return "\r\n".join(lines).encode()


def post(target: str, body: bytes, *head: str) -> bytes:
    return get(target, f"Content-Length: {len(body)}", *head, method="POST") + body
