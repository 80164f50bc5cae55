"""A client that follows the journal over a real connection, frame by frame."""

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import trio

from service.operators.lookout import Lookout
from statemachines import events
from statemachines.units import NS_PER_S, RequestId


def write(lookout: Lookout, first: int, count: int = 1) -> None:
    """Steps about requests of these numbers, a second apart."""
    for number in range(first, first + count):
        lookout.journal.write(events.RequestFinished(at=number * NS_PER_S, request=RequestId(number)), ())


class Following:
    """One that has begun. It speaks HTTP/1.0, whose bodies end with the connection and have no frames of their own."""

    def __init__(self, stream: trio.SocketStream) -> None:
        self._stream = stream
        self._received = b""

    async def frame(self) -> dict[str, Any]:
        """The next server-sent event: its fields, its data decoded; empty at the end of the stream."""
        block = await self.block(b"\n\n")
        fields = (line.partition(": ") for line in block.decode().splitlines())
        return {name: json.loads(value) if name == "data" else value for name, _, value in fields}

    async def block(self, end: bytes) -> bytes:
        """What comes before ``end``."""
        while end not in self._received:
            data = await self._stream.receive_some()
            if not data:
                return b""
            self._received += data
        block, _, self._received = self._received.partition(end)
        return block

    async def requests(self, count: int) -> list[int]:
        """The requests of that many steps."""
        return [(await self.frame())["data"]["event"]["request"] for _ in range(count)]


@asynccontextmanager
async def following(address: str, query: str = "", **head: str) -> AsyncIterator[Following]:
    """Follow with these further parameters and headers."""
    host, _, port = address.rpartition(":")
    headers = "".join(f"{name.replace('_', '-')}: {value}\r\n" for name, value in head.items())
    async with await trio.open_tcp_stream(host, int(port)) as stream:
        target = f"/debug/events?follow=1{query}"
        await stream.send_all(f"GET {target} HTTP/1.0\r\nHost: localhost\r\n{headers}\r\n".encode())
        client = Following(stream)
        answer = (await client.block(b"\r\n\r\n")).lower()
        assert b" 200 " in answer
        assert b"content-type: text/event-stream" in answer
        assert await client.block(b"\n\n") == b": following"
        yield client
