"""The official clients against the whole service and a real engine on a model whose every word is known."""

from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import ollama
import openai
import pytest
import trio

from service.config import Settings
from tests.factory.scripted import Answer, scripted_model
from tests.integration.talking import HUNG_S, serve_until, talk
from tests.service.front_contract import check

pytestmark = pytest.mark.engine

HELLO = "Hello there, na\u00efve \U0001f642 world."
TURNS: list[Any] = [{"role": "system", "content": "be polite"}, {"role": "user", "content": "hi"}]
STOPPED: list[Any] = [{"role": "user", "content": "count"}]


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("models")
    smile = "\U0001f642".encode()
    hello = Answer((b"Hello", b" there,", b" na", b"\xc3", b"\xafve ", smile[:2], smile[2:], b" world."))
    count = Answer((b"one", b" two", b" EN", b"D", b" three", b" E", b"ND", b" four"))
    scripted_model(folder / "demo.gguf", {"": hello, "count": count})
    return folder


@pytest.fixture
def settings(models: Path, tmp_path: Path) -> Settings:
    return Settings(models=models, state=tmp_path, port=0, strict=True, log_level="error")


async def test_ollamas_client_lists_shows_generates_chats_and_unloads(settings: Settings) -> None:
    heard = await talk(settings, _with_ollama)
    assert heard["listed"] == ["demo:latest"]
    assert heard["family"] == "llama"
    assert heard["whole"].response == heard["streamed"] == heard["chat"] == heard["chat_streamed"] == HELLO
    assert heard["whole"].done_reason == "stop"
    assert heard["whole"].context
    figures = ("total_duration", "load_duration", "prompt_eval_count", "prompt_eval_duration", "eval_count")
    assert all(heard["whole"][name] > 0 for name in (*figures, "eval_duration"))
    assert heard["stopped"] == "one two "
    assert (heard["short"].done_reason, heard["short"].eval_count) == ("length", 2)
    assert [entry.model for entry in heard["running"]] == ["demo:latest"]
    assert heard["running"][0].context_length == 512


def _with_ollama(address: str) -> dict[str, Any]:
    client = ollama.Client(host=address)
    try:
        options = {"temperature": 0, "num_ctx": 512}
        heard: dict[str, Any] = {
            "listed": [entry.model for entry in client.list().models],
            "family": client.show("demo").details.family,
            "whole": client.generate("demo", "hi", options=options),
            "streamed": "".join(
                piece.response for piece in client.generate("demo", "hi", options=options, stream=True)
            ),
            "chat": client.chat("demo", TURNS, options=options).message.content,
            "chat_streamed": "".join(
                piece.message.content or "" for piece in client.chat("demo", TURNS, options=options, stream=True)
            ),
            "stopped": client.generate("demo", "count", options={**options, "stop": ["END"]}).response,
            "short": client.generate("demo", "hi", options={**options, "num_predict": 2}),
            "running": client.ps().models,
        }
        client.generate("demo", keep_alive=0)
        return heard
    finally:
        client._client.close()


async def test_openais_client_lists_and_chats(settings: Settings) -> None:
    heard = await talk(settings, _with_openai)
    assert heard["listed"] == ["demo:latest"]
    whole, chunks = heard["whole"], heard["chunks"]
    assert (whole.choices[0].message.content, whole.choices[0].finish_reason) == (HELLO, "stop")
    assert "".join(chunk.choices[0].delta.content or "" for chunk in chunks if chunk.choices) == HELLO
    assert chunks[-1].usage == whole.usage
    assert heard["stopped"].choices[0].message.content == "one two "


def _with_openai(address: str) -> dict[str, Any]:
    with openai.OpenAI(base_url=f"{address}/v1", api_key="none", max_retries=0) as client:
        ask = partial(client.chat.completions.create, model="demo", temperature=0)
        return {
            "listed": [entry.id for entry in client.models.list()],
            "whole": ask(messages=TURNS),
            "chunks": list(ask(messages=TURNS, stream=True, stream_options={"include_usage": True})),
            "stopped": ask(messages=STOPPED, stop=["END"]),
        }


async def test_the_real_front_keeps_the_contract_that_the_scripted_one_keeps(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    fronts: list[Any] = []
    monkeypatch.setattr("service.listeners.create_app", _noting(fronts))
    stop = trio.Event()
    with trio.fail_after(HUNG_S):
        async with trio.open_nursery() as nursery:
            await nursery.start(partial(serve_until, settings, stop))
            await check(fronts[0])
            stop.set()


def _noting(fronts: list[Any]) -> Callable[..., Any]:
    from service.http.app import create_app

    def create(front: Any, **making: Any) -> Any:
        fronts.append(front)
        return create_app(front, **making)

    return create
