"""The start of a service that is told to stop before it is ready."""

import json
from pathlib import Path

import pytest
import trio

from service import life
from service.config import Settings
from service.main import serve
from service.ready import Ready


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
