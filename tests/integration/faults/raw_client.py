"""Clients that say and read exactly what a test wants: plain sockets, nothing read ahead."""

import json
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import trio

from service.ready import Ready


def question(model: str, path: str = "/api/generate", **fields: Any) -> bytes:
    """A whole request."""
    body = json.dumps({"model": model, "prompt": "hi", **fields}).encode()
    head = f"POST {path} HTTP/1.1\r\nHost: localhost\r\nContent-Length: {len(body)}\r\nConnection: close\r\n\r\n"
    return head.encode() + body


@asynccontextmanager
async def connected(ready: Ready, *, receive_bytes: int | None = None) -> AsyncIterator[trio.SocketStream]:
    """A connection to a service.

    Args:
        receive_bytes: how much the system may take for a client that does not read; as it likes by default.
    """
    sock = trio.socket.socket()
    if receive_bytes is not None:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_bytes)
    async with trio.SocketStream(sock) as stream:
        await sock.connect((ready.host, ready.port))
        yield stream


async def rest(stream: trio.SocketStream) -> bytes:
    """All that comes until the service closes."""
    return b"".join([bytes(data) async for data in stream])


def status_of(answer: bytes) -> int:
    return int(answer.split(b" ", 2)[1])
