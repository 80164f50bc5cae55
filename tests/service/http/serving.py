"""The app on a real port, carried by hypercorn as the service has it carried."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import partial
from typing import Any

import trio
from hypercorn.trio import serve

from service.http.app import create_app, hypercorn_config
from tests.fakes.front import FakeFront

HANG_S = 20
"""Ends a test that hangs; nothing is timed with it."""


@asynccontextmanager
async def served(front: FakeFront) -> AsyncIterator[str]:
    """Serve ``front`` on a free port of 127.0.0.1; the address as ``127.0.0.1:<port>``."""
    config = hypercorn_config(front.settings)
    config.bind = ["127.0.0.1:0"]
    stop = trio.Event()
    app: Any = create_app(front)
    with trio.fail_after(HANG_S):
        async with trio.open_nursery() as nursery:
            (address,) = await nursery.start(partial(serve, app, config, shutdown_trigger=stop.wait))
            try:
                yield str(address).removeprefix("http://")
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
