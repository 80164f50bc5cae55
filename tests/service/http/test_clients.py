"""The official clients against the app on a real port; the engine behind it is scripted.

They are synchronous, so each test's talk runs in a thread beside the server.
"""

from typing import Any

import ollama
import openai
import pytest
import trio

from statemachines.errors import Refusal, RefusalCode, RunnerFailed
from tests.fakes.front import FakeFront, Script
from tests.service.http.serving import served

TURNS: list[Any] = [{"role": "user", "content": "hi"}]


async def with_ollama(front: FakeFront, talk: Any) -> Any:
    async with served(front) as address:

        def run() -> Any:
            client = ollama.Client(host=f"http://{address}")
            try:
                return talk(client)
            finally:
                client._client.close()

        return await trio.to_thread.run_sync(run)


async def with_openai(front: FakeFront, talk: Any) -> Any:
    async with served(front) as address:

        def run() -> Any:
            with openai.OpenAI(base_url=f"http://{address}/v1", api_key="none", max_retries=0) as client:
                return talk(client)

        return await trio.to_thread.run_sync(run)


async def test_ollama_lists_and_shows(front: FakeFront) -> None:
    def talk(client: ollama.Client) -> Any:
        return client.list(), client.show("demo"), client.ps()

    listed, shown, running = await with_ollama(front, talk)
    assert [entry.model for entry in listed.models] == ["demo:latest"]
    assert (shown.details.family, shown.capabilities) == ("llama", ["completion"])
    assert running.models == []


async def test_ollama_generates_whole_and_streamed(front: FakeFront) -> None:
    def talk(client: ollama.Client) -> Any:
        whole = client.generate("demo", "hi", keep_alive="5m", options={"temperature": 0})
        return whole, list(client.generate("demo", "hi", stream=True))

    whole, pieces = await with_ollama(front, talk)
    assert (whole.response, whole.done_reason, whole.eval_count) == ("Hello world", "stop", 3)
    assert [piece.response for piece in pieces] == ["Hello", " world", ""]
    assert (pieces[-1].done, pieces[-1].context) == (True, [1, 2, 3])


async def test_ollama_chats_whole_and_streamed(front: FakeFront) -> None:
    def talk(client: ollama.Client) -> Any:
        return client.chat("demo", TURNS), list(client.chat("demo", TURNS, stream=True))

    whole, pieces = await with_ollama(front, talk)
    assert whole.message.content == "Hello world"
    assert "".join(piece.message.content for piece in pieces) == "Hello world"


async def test_ollama_raises_what_went_wrong(front: FakeFront) -> None:
    front.script = Script(texts=("Hel", RunnerFailed(Refusal(RefusalCode.RUNNER_CRASHED, "the runner ended"))))

    def talk(client: ollama.Client) -> Any:
        with pytest.raises(ollama.ResponseError) as missing:
            client.chat("nope", TURNS)
        with pytest.raises(ollama.ResponseError) as broken:
            list(client.chat("demo", TURNS, stream=True))
        return missing.value, broken.value

    missing, broken = await with_ollama(front, talk)
    assert (missing.status_code, missing.error) == (404, "model 'nope' not found")
    assert broken.error == "the runner ended"


async def test_openai_lists_and_retrieves(front: FakeFront) -> None:
    def talk(client: openai.OpenAI) -> Any:
        return [entry.id for entry in client.models.list()], client.models.retrieve("demo")

    ids, model = await with_openai(front, talk)
    assert (ids, model.id, model.owned_by) == (["demo:latest"], "demo", "library")


async def test_openai_chats_whole_and_streamed(front: FakeFront) -> None:
    def talk(client: openai.OpenAI) -> Any:
        whole = client.chat.completions.create(model="demo", messages=TURNS, max_tokens=5)
        streamed = client.chat.completions.create(
            model="demo", messages=TURNS, stream=True, stream_options={"include_usage": True}
        )
        return whole, list(streamed)

    whole, chunks = await with_openai(front, talk)
    assert (whole.choices[0].message.content, whole.choices[0].finish_reason) == ("Hello world", "stop")
    assert whole.usage.total_tokens == 10
    assert "".join(chunk.choices[0].delta.content or "" for chunk in chunks if chunk.choices) == "Hello world"
    assert (chunks[-1].usage.total_tokens, chunks[-2].choices[0].finish_reason) == (10, "stop")


async def test_openai_raises_what_went_wrong(front: FakeFront) -> None:
    front.script = Script(texts=("Hel", RunnerFailed(Refusal(RefusalCode.RUNNER_CRASHED, "the runner ended"))))

    def talk(client: openai.OpenAI) -> Any:
        with pytest.raises(openai.NotFoundError) as missing:
            client.chat.completions.create(model="nope", messages=TURNS)
        with pytest.raises(openai.APIError) as broken:
            list(client.chat.completions.create(model="demo", messages=TURNS, stream=True))
        return missing.value, broken.value

    missing, broken = await with_openai(front, talk)
    assert "model 'nope' not found" in str(missing)
    assert "the runner ended" in str(broken)
