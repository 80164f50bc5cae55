"""A model's file that is replaced while a request asks what it says of itself."""

from typing import Any

import pytest

from tests.fakes.front import FakeFront, FakeStore, facts, model
from tests.service.http.calling import Caller

TURNS = [{"role": "user", "content": "hi"}]
ASKS: list[tuple[str, dict[str, Any]]] = [
    ("/api/generate", {"model": "demo", "prompt": "hi"}),
    ("/api/chat", {"model": "demo", "messages": TURNS}),
    ("/api/show", {"model": "demo"}),
    ("/v1/chat/completions", {"model": "demo", "messages": TURNS}),
]


def caller(*, replacements: int) -> Caller:
    return Caller(FakeFront(store=FakeStore({model(): facts()}, replacements=replacements)))


@pytest.mark.parametrize(("path", "body"), ASKS)
async def test_a_file_that_is_replaced_while_it_is_read_is_found_again_without_a_word(
    path: str, body: dict[str, Any]
) -> None:
    assert (await caller(replacements=1).post(path, body)).status == 200


@pytest.mark.parametrize(("path", "body"), ASKS)
async def test_a_file_that_is_replaced_again_and_again_is_the_clients_to_ask_for_once_more(
    path: str, body: dict[str, Any]
) -> None:
    reply = await caller(replacements=2).post(path, body)
    assert reply.status == 503
    assert b"ask again" in reply.body
