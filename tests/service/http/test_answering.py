"""Streams that do not keep to their script."""

from collections.abc import AsyncIterator
from typing import Any

import pytest

from statemachines.units import LeaseId
from statemachines.wire.messages import Delta
from tests.fakes.front import FakeFront, FakeLease
from tests.service.http.calling import Caller


class Broken(AsyncIterator[Delta]):
    """One piece and no end; an iterator that nobody needs to close."""

    def __init__(self) -> None:
        self._texts = ["Hel"]

    async def __anext__(self) -> Delta:
        if not self._texts:
            raise StopAsyncIteration
        return Delta(LeaseId(1), self._texts.pop())


async def test_a_stream_without_an_end_is_an_error_to_the_client(
    front: FakeFront, call: Caller, monkeypatch: pytest.MonkeyPatch
) -> None:
    def stream(_: FakeLease, generate: Any) -> Broken:
        return Broken()

    monkeypatch.setattr(FakeLease, "stream", stream)
    reply = await call.post("/api/generate", {"model": "demo", "prompt": "hi"})
    assert [line.get("response") for line in reply.lines] == ["Hel", None]
    assert reply.lines[-1] == {"error": "the answer broke off on the server's side; try again"}
    assert front.open_leases == 0
