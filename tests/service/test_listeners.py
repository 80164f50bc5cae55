"""Clients and operators, each at their door, over real sockets."""

import os
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

import pytest
import trio

from service.admin_address import SOCKET_FILE
from service.admin_listener import LOCK_SUFFIX
from service.http.routes import OPERATORS
from service.listeners import Listeners
from service.logs import make_log
from tests.fakes.front import FakeFront, settings
from tests.fakes.lookout import lookout_of
from tests.service.http.serving import HANG_S, get

PATHS = [route.path for route in OPERATORS]


@dataclass
class Running:
    listeners: Listeners
    folder: Path
    closing: trio.Event
    over: trio.Event

    async def main(self, target: str, *head: str) -> bytes:
        """What a client gets."""
        return await _ask(await trio.open_tcp_stream("127.0.0.1", self.listeners.address[1]), target, head)

    async def admin(self, target: str, *head: str) -> bytes:
        """What an operator gets on the socket."""
        return await _ask(await trio.open_unix_socket(self.folder / SOCKET_FILE), target, head)


async def _ask(stream: trio.SocketStream, target: str, head: tuple[str, ...]) -> bytes:
    async with stream:
        await stream.send_all(get(target, *head))
        return b"".join([data async for data in stream])


@asynccontextmanager
async def running(folder: Path, **changes: object) -> AsyncIterator[Running]:
    """Listeners with a state folder, until the context ends."""
    front = FakeFront(settings(port=0, **changes))
    log = make_log(log_format="json", level="warning")
    listeners = Listeners(front.settings, log, descriptors=1024, new_label=lambda: "label")
    with trio.fail_after(HANG_S), listeners, listeners.operators(folder):
        async with trio.open_nursery() as nursery:
            service = Running(listeners, folder, trio.Event(), trio.Event())
            await listeners.open(nursery, front, lookout_of(front), closing=service.closing, over=service.over)
            yield service
            service.closing.set()
            service.over.set()
            await listeners.closed()
            nursery.cancel_scope.cancel()


async def _until_refused(ask: Callable[[str], Awaitable[bytes]]) -> None:
    with suppress(OSError):
        while True:
            await ask("/health")


@pytest.mark.parametrize("path", ["/health", *PATHS])
async def test_one_listener_of_this_machine_is_for_both(tmp_path: Path, path: str) -> None:
    async with running(tmp_path) as service:
        assert service.listeners.admin == f"http://127.0.0.1:{service.listeners.address[1]}"
        assert (await service.main(path)).startswith(b"HTTP/1.1 200")
        assert (await service.main("/api/tags")).startswith(b"HTTP/1.1 200")
    assert os.listdir(tmp_path) == []


@pytest.mark.parametrize("path", PATHS)
async def test_a_listener_for_others_shows_operators_nothing_and_their_socket_shows_them_all(
    tmp_path: Path, path: str
) -> None:
    async with running(tmp_path, host="0.0.0.0", allow_remote=True) as service:
        assert service.listeners.admin == f"unix:{tmp_path / SOCKET_FILE}"
        refused = await service.main(path)
        assert refused.startswith(b"HTTP/1.1 404")
        assert b"admin listener only (setting admin_listen)" in refused
        assert str(tmp_path).encode() not in refused
        assert (await service.admin(path)).startswith(b"HTTP/1.1 200")
        assert (await service.admin(path, "Host: evil.example")).startswith((b"HTTP/1.1 403", b"HTTP/1.1 400"))
    assert os.listdir(tmp_path) == [SOCKET_FILE + LOCK_SUFFIX]


async def test_health_is_at_both_and_models_only_where_clients_are(tmp_path: Path) -> None:
    async with running(tmp_path, host="0.0.0.0", allow_remote=True) as service:
        for ask in (service.main, service.admin):
            assert (await ask("/health")).endswith(b'{"status":"ok"}')
        assert (await service.main("/api/tags")).startswith(b"HTTP/1.1 200")
        assert (await service.admin("/api/tags")).startswith(b"HTTP/1.1 404")


async def test_an_answer_on_the_socket_has_our_name_and_an_id(tmp_path: Path) -> None:
    async with running(tmp_path, admin_listen=f"unix:{tmp_path}/{SOCKET_FILE}") as service:
        head = (await service.admin("/metrics")).partition(b"\r\n\r\n")[0].lower()
    assert b"server: roundhouse/" in head
    assert b"x-request-id: fake-1" in head


async def test_operators_may_look_while_the_service_stops_and_until_it_has_ended(tmp_path: Path) -> None:
    async with running(tmp_path, host="0.0.0.0", allow_remote=True) as service:
        service.closing.set()
        await _until_refused(service.main)
        assert (await service.admin("/debug/state")).startswith(b"HTTP/1.1 200")
        service.over.set()
        await service.listeners.closed()
        await _until_refused(service.admin)


async def test_where_no_socket_can_be_had_operators_are_told_nothing_by_the_other_one(tmp_path: Path) -> None:
    folder = tmp_path / ("x" * 120)
    async with running(folder, host="0.0.0.0", allow_remote=True) as service:
        assert service.listeners.admin == "nowhere"
        assert (await service.main("/metrics")).startswith(b"HTTP/1.1 404")
