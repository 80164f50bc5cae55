"""As many clients as there may be, and what the next one is told."""

import json
from contextlib import AsyncExitStack
from typing import cast

import pytest
import structlog
import trio
import trio.testing

from service import connections as module
from service.connection import Connection
from service.connections import Connections, connections_max
from tests.fakes.front import FakeFront
from tests.service.http.serving import exchange, get, served
from tests.service.test_connection import KEPT, client, one_answer


@pytest.mark.parametrize(
    ("descriptors", "wanted", "most"),
    [(20_000, None, 19_744), (20_000, 100, 100), (1024, 1000, 768), (512, None, 256), (300, None, 150), (64, 50, 32)],
)
def test_clients_get_all_descriptors_but_a_reserve(descriptors: int, wanted: int | None, most: int) -> None:
    assert connections_max(descriptors, wanted) == most


async def test_a_client_too_many_is_told_so_at_once_and_the_next_is_let_in() -> None:
    async with served(FakeFront(), connections_max=1) as address:
        async with client(address) as stream:
            await one_answer(stream)
            head, _, body = (await exchange(address, get("/"))).partition(b"\r\n\r\n")
            await one_answer(stream)
        assert head.startswith(b"HTTP/1.1 503 Service Unavailable\r\n")
        for line in (b"retry-after: 1", b"connection: close", b"server: roundhouse/", b"x-request-id: fake-2"):
            assert line in head
        assert json.loads(body)["error"].endswith("(setting connections_max); try again in a moment")
        while b" 200 " not in await exchange(address, KEPT.replace(b"\r\n\r\n", b"\r\nConnection: close\r\n\r\n")):
            pass  # until the server has seen that the first one has left


async def test_a_crowd_is_turned_away_in_words_as_far_as_that_is_bounded_and_said_once(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(module, "REFUSALS_MAX", 2)
    async with served(FakeFront(), connections_max=1) as address, AsyncExitStack() as crowd:
        await one_answer(await crowd.enter_async_context(client(address)))
        for _ in range(2):
            waiting = await crowd.enter_async_context(client(address))
            assert (await waiting.receive_some()).startswith(b"HTTP/1.1 503 ")
        assert await exchange(address, b"") == b""
    lines = [json.loads(line) for line in capsys.readouterr().err.splitlines()]
    (line,) = [line for line in lines if "turned away" in line["event"]]
    assert (line["level"], line["connections"], line["setting"]) == ("warning", 1, "connections_max")


class Hurried:
    """A connection that lives until it is hurried."""

    def __init__(self) -> None:
        self._end = trio.Event()

    def hurry(self) -> None:
        self._end.set()

    async def run(self) -> None:
        await self._end.wait()


async def test_a_connection_that_was_accepted_in_the_last_moment_is_hurried_too() -> None:
    def connect(_: trio.SocketStream) -> Connection:
        return cast(Connection, Hurried())

    connections = Connections(9, connect=connect, headers=list, log=structlog.get_logger())
    ours, _theirs = trio.testing.memory_stream_pair()
    async with trio.open_nursery() as nursery:
        nursery.start_soon(connections.serve, ours)
        await trio.testing.wait_all_tasks_blocked()
        assert len(connections) == 1
        connections.hurry()
    await connections.serve(cast(trio.SocketStream, ours))
