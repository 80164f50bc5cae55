"""Characters and stop strings all the way: from the engine's tokens to what a client of each API reads."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from service.config import Settings
from tests.factory.scripted import Answer, scripted_model
from tests.integration.talking import HUNG_S, talk
from tests.integration.texts import SPLITS, STOPS

pytestmark = pytest.mark.engine

STOP = "END."
EXPECTED = {
    **{f"[{index}]": f"<{character}>" for index, (character, _) in enumerate(SPLITS)},
    "three": "One ",
    "almost": "Won END, EN",
}
"""What is read for each question, which names its answer."""
Pieces = list[str]


def answers() -> dict[str, Answer]:
    splits = {f"[{index}]": Answer((b"<", *pieces, b">")) for index, (_, pieces) in enumerate(SPLITS)}
    return {**splits, "three": STOPS["three"], "almost": STOPS["almost"]}


def shared_out(script: dict[str, Answer]) -> list[dict[str, Answer]]:
    """As few models as will do: in one model only single bytes can be pieces of several answers."""
    models: list[dict[str, Answer]] = []
    for question, answer in script.items():
        pieces = {piece for piece in answer.pieces if len(piece) > 1}
        taken = [{piece for other in model.values() for piece in other.pieces} for model in models]
        index = next((index for index, those in enumerate(taken) if not pieces & those), len(models))
        models[index:] = models[index:] or [{}]
        models[index][question] = answer
    return models


@pytest.fixture
def questions(tmp_path: Path) -> list[tuple[str, str]]:
    """Every question, with the model that answers it."""
    asked = []
    (tmp_path / "models").mkdir()
    for index, script in enumerate(shared_out(answers())):
        scripted_model(tmp_path / "models" / f"script{index}.gguf", script)
        asked += [(f"script{index}", question) for question in script]
    return asked


async def test_every_split_character_and_stop_string_arrives_as_it_should(
    questions: list[tuple[str, str]], tmp_path: Path
) -> None:
    assert {question for _, question in questions} == {*EXPECTED}
    settings = Settings(models=tmp_path / "models", state=tmp_path, port=0, strict=True, log_level="error")

    def converse(address: str) -> None:
        with httpx.Client(base_url=address, timeout=HUNG_S) as client:
            for model, question in questions:
                _ask_in_every_way(client, model, question)

    await talk(settings, converse)


def _ask_in_every_way(client: httpx.Client, model: str, question: str) -> None:
    expected = EXPECTED[question]
    for ask in (_generated, _generated_in_pieces, _chatted, _chatted_in_pieces):
        pieces, reason = ask(client, model, question)
        assert ("".join(pieces), reason) == (expected, "stop"), (ask.__name__, question)


def _generated(client: httpx.Client, model: str, question: str) -> tuple[Pieces, str]:
    reply = client.post("/api/generate", json=_generate_body(model, question, stream=False)).raise_for_status().json()
    return [reply["response"]], reply["done_reason"]


def _generated_in_pieces(client: httpx.Client, model: str, question: str) -> tuple[Pieces, str]:
    with client.stream("POST", "/api/generate", json=_generate_body(model, question, stream=True)) as reply:
        lines = [json.loads(line) for line in _lines(reply)]
    return [line["response"] for line in lines], lines[-1]["done_reason"]


def _generate_body(model: str, question: str, *, stream: bool) -> dict[str, Any]:
    return {"model": model, "prompt": question, "stream": stream, "options": {"temperature": 0, "stop": [STOP]}}


def _chatted(client: httpx.Client, model: str, question: str) -> tuple[Pieces, str]:
    reply = client.post("/v1/chat/completions", json=_chat_body(model, question, stream=False)).raise_for_status()
    (choice,) = reply.json()["choices"]
    return [choice["message"]["content"]], choice["finish_reason"]


def _chatted_in_pieces(client: httpx.Client, model: str, question: str) -> tuple[Pieces, str]:
    with client.stream("POST", "/v1/chat/completions", json=_chat_body(model, question, stream=True)) as reply:
        events = [line.removeprefix("data: ") for line in _lines(reply)]
    assert events.pop() == "[DONE]"
    choices = [json.loads(event)["choices"][0] for event in events]
    return [choice["delta"].get("content") or "" for choice in choices], choices[-1]["finish_reason"]


def _chat_body(model: str, question: str, *, stream: bool) -> dict[str, Any]:
    messages = [{"role": "user", "content": question}]
    return {"model": model, "messages": messages, "stream": stream, "temperature": 0, "stop": [STOP]}


def _lines(reply: httpx.Response) -> Iterator[str]:
    """What was sent, line by line; each by itself is UTF-8."""
    data = reply.read()
    assert reply.status_code == 200, data
    return (line.decode() for line in data.split(b"\n") if line)
