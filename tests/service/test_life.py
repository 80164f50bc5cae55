"""Start and end of a service, where an order or another server comes between."""

import json
import os
import signal
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import trio

from service import life
from service.admin_address import SOCKET_FILE
from service.config import Settings
from service.listeners import Listeners
from service.main import serve
from service.ready import Ready
from service.state import folder
from service.state.folder import StateFolder
from statemachines.units import NS_PER_S
from tests.service.http.serving import HANG_S, get
from tests.service.state.places import opened


def for_others(root: Path) -> Settings:
    """Of a service that other machines reach, so that its operators have a socket of their own."""
    return Settings(
        models=root / "models",
        state=root / "state",
        host="0.0.0.0",
        allow_remote=True,
        port=0,
        spare=False,
        log_format="json",
    )


async def test_an_order_to_stop_during_the_start_breaks_it_off(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    begun, stop = trio.Event(), trio.Event()

    async def hang(*_: object, **__: object) -> None:
        begun.set()
        await trio.sleep_forever()

    def ready(_: Ready) -> None:
        raise AssertionError("it was told to stop")

    monkeypatch.setattr(life, "clear_up", hang)
    settings = Settings(models=tmp_path / "models", state=tmp_path / "state", port=0, log_format="json")
    ends = []

    async def run() -> None:
        ends.append(await serve(settings, on_ready=ready, stop=stop, takes_signals=False))

    async with trio.open_nursery() as nursery:
        nursery.start_soon(run)
        await begun.wait()
        stop.set()
    assert ends == [life.EXIT_DONE]
    said = [json.loads(line)["event"] for line in capsys.readouterr().err.splitlines()]
    assert said[-2:] == ["stopping", "stopped before it was ready"]
    assert "ready" not in said


async def test_an_order_to_stop_while_it_tidies_up_leaves_nothing_lying_about(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    state = tmp_path / "state"
    left: list[list[str]] = []
    close = StateFolder.close

    def close_after_an_order(folder: StateFolder) -> None:
        os.kill(os.getpid(), signal.SIGTERM)
        close(folder)

    monkeypatch.setattr(StateFolder, "close", close_after_an_order)
    handed_on = trio.Event()

    def look(*_: object) -> None:
        left.append(sorted(os.listdir(state)))
        handed_on.set()

    before = signal.signal(signal.SIGTERM, look)
    try:
        stop = trio.Event()
        with trio.fail_after(HANG_S):
            ended = await serve(for_others(tmp_path), on_ready=lambda _: stop.set(), stop=stop)
            await handed_on.wait()  # The service took it and was over: it goes on to whoever had the signal before.
    finally:
        signal.signal(signal.SIGTERM, before)
    assert ended == life.EXIT_DONE
    assert left == [["admin.sock.lock", "format", "lock"]]


async def test_operators_get_their_socket_with_the_folder_when_another_server_had_that_first(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    opened_later = trio.Event()
    open_operators = Listeners.open_operators

    async def open_and_say(listeners: Listeners, *args: Any, **options: Any) -> None:
        await open_operators(listeners, *args, **options)
        if not listeners.miss_operators:
            opened_later.set()

    monkeypatch.setattr(Listeners, "open_operators", open_and_say)
    monkeypatch.setattr(folder, "ASK_AGAIN_NS", NS_PER_S // 100)
    sock = tmp_path / "state" / SOCKET_FILE
    stop = trio.Event()
    places: list[str] = []
    with trio.fail_after(HANG_S), opened(tmp_path / "state") as first:
        async with trio.open_nursery() as nursery:
            run = partial(serve, for_others(tmp_path), stop=stop, takes_signals=False)
            ready = await nursery.start(run)
            places.append(ready.admin)
            first.folder.close()
            await opened_later.wait()
            async with await trio.open_unix_socket(sock) as client:
                await client.send_all(get("/debug/machines"))
                assert (await client.receive_some()).startswith(b"HTTP/1.1 200")
            stop.set()
    assert places == ["nowhere"]
    said = [json.loads(line) for line in capsys.readouterr().err.splitlines()]
    assert [line["admin"] for line in said if line["event"] == "operators have a listener now"] == [f"unix:{sock}"]
    assert not sock.exists()
