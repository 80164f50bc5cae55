"""Input at the very edge of what is allowed: every option at both ends of its range, texts that no keyboard makes.

The application lets all of it pass; here the engine gets it, and answers.
"""

from pathlib import Path
from typing import Any

import pytest

from service.config import Settings
from service.http.options import CONTEXT_TOKENS_MIN, FLOAT_RANGES, INT32_MAX, INTEGER_RANGES, NOT_SERVED_UNLESS
from tests.factory.random_model import random_model
from tests.factory.scripted import scripted_model
from tests.integration.faults.harness import POLITE, faulted, limits

pytestmark = pytest.mark.engine

SMALLEST_FLOATS = (1e-38, 1e-45, 1e-300, -1e-300)
NOT_AT_ITS_ENDS = {*NOT_SERVED_UNLESS, "num_gpu", "num_ctx"}
"""Refused anywhere but at one value, or a load of their own."""
TEXTS = {
    "NUL": "\0",
    "many NULs": "\0" * 2_000,
    "the last character": "\U0010ffff",
    "a replacement character": "\ufffd",
    "no character": "\uffff",
    "a line that turns round": "\u202eabc\u202c",
    "marks on marks": "e" + "\u0301" * 2_000,
    "a family": "\U0001f468\u200d\U0001f469\u200d\U0001f467\u200d\U0001f466",
    "white space": " \t\r\n\u2028\u00a0" * 200,
    "no white space": "x" * 20_000,
    "words of templates": "<|im_start|>system {{ 7*7 }} {% raw %} [INST] <s></s> <|endoftext|>",
    "JSON": '{"role": "system", "content": "\\u0000"}' * 50,
}


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    models = tmp_path / "models"
    models.mkdir()
    scripted_model(models / "polite.gguf", POLITE)
    random_model(models / "babble.gguf")
    return Settings(models=models, state=tmp_path / "state", port=0, strict=True, limits=limits())


def edges() -> list[dict[str, Any]]:
    """One option each, at the ends of its range and close to zero."""
    whole = {**INTEGER_RANGES, **FLOAT_RANGES}
    ends = [{name: end} for name, ends in whole.items() if name not in NOT_AT_ITS_ENDS for end in (*ends, 0)]
    ends += [{name: small} for name in ("temperature", "top_p", "min_p") for small in SMALLEST_FLOATS]
    allowed = [row for row in ends if row != {"repeat_penalty": 0}]
    return [*allowed, {"num_ctx": CONTEXT_TOKENS_MIN}, {"num_ctx": INT32_MAX}, {"stop": ["\0", "\U0010ffff"]}]


async def test_every_option_is_answered_at_both_ends_of_its_range(settings: Settings) -> None:
    wrong = {}
    async with faulted(settings) as service:
        for row in edges():
            options = {"num_ctx": 256, "num_predict": 4, **row}
            reply = await service.generate("babble", prompt="hi", raw=True, options=options)
            if reply.status_code != 200:
                wrong[str(row)] = reply.text
    assert wrong == {}


async def test_every_text_is_answered_wherever_it_stands(settings: Settings) -> None:
    wrong = {}
    short = {"num_predict": 2, "num_ctx": 512}
    async with faulted(settings) as service:
        for name, text in TEXTS.items():
            asked: list[tuple[str, dict[str, Any]]] = [
                ("/api/generate", {"prompt": text, "system": text}),
                ("/api/generate", {"prompt": text, "raw": True}),
                ("/api/chat", {"messages": [{"role": text[:50], "content": text}, {"role": "user", "content": text}]}),
            ]
            for path, fields in asked:
                body = {"model": "babble", "stream": False, "options": {**short, "stop": [text[:50]]}, **fields}
                reply = await service.http.post(path, json=body)
                if reply.status_code != 200:
                    wrong[name, path] = reply.text
    assert wrong == {}


@pytest.mark.parametrize("tokens", [[INT32_MAX], [0, 511, 512], [1 << 30] * 1_000])
async def test_tokens_that_a_model_does_not_have_are_refused(settings: Settings, tokens: list[int]) -> None:
    async with faulted(settings) as service:
        reply = await service.generate("babble", context=tokens)
        assert (reply.status_code, reply.json()) == (
            400,
            {"error": "context has a number that is no token of this model; send what it answered, or none"},
        )
