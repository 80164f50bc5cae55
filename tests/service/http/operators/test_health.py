"""GET /health: one word for whatever spreads requests."""

import pytest

from service.http.doors import Door
from statemachines.errors import Refusal, RefusalCode
from tests.fakes.front import FakeFront, settings
from tests.service.http.calling import Caller


@pytest.mark.parametrize("door", Door)
@pytest.mark.parametrize("peer", ["127.0.0.1", "192.168.1.20"])
async def test_it_answers_everybody_at_every_door(door: Door, peer: str) -> None:
    call = Caller(FakeFront(settings(host="0.0.0.0", allow_remote=True)), door=door)
    reply = await call("GET", "/health", peer=peer)
    assert (reply.status, reply.json) == (200, {"status": "ok"})
    assert (await call("HEAD", "/health", peer=peer)).status == 200


async def test_it_says_why_not_and_when_to_ask_again(front: FakeFront, call: Caller) -> None:
    front.shut = Refusal(RefusalCode.DRAINING, "the server is shutting down", 17)
    reply = await call.get("/health")
    assert (reply.status, reply.json) == (503, {"error": "the server is shutting down"})
    assert reply.headers["Retry-After"] == "17"
    assert (await call("HEAD", "/health")).status == 503


async def test_it_is_guarded_by_name_like_everything_else(call: Caller) -> None:
    assert (await call.get("/health", Host="rebound.example.com")).status == 403
