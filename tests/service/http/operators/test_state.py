"""GET /debug/state: only here, readable, without a word of anybody's."""

import msgspec
import pytest

from service.http import times
from statemachines.snapshot import CauseView, DeadlineView, LoadView, RequestView
from statemachines.states import LoadState, RequestState
from statemachines.units import FOREVER_NS, NS_PER_S, LoadId, RequestId
from tests.fakes.front import NOTHING_LOADED, WALL_AT_ZERO_NS, FakeFront, model, runner
from tests.service.http.calling import Caller

CAUSE = CauseView("bytes", ("runner 3",), "waits for memory that runner 3 holds", until=9 * NS_PER_S)
LOAD = LoadView(
    load=LoadId(7),
    model="demo:latest",
    key=model().key,
    state=LoadState.WAITING,
    cause=CAUSE,
    claimants=(RequestId(1),),
    attempts=0,
    runner=None,
    deadlines=(DeadlineView("backoff", 5 * NS_PER_S),),
    deadline=8 * NS_PER_S,
    opened_at=NS_PER_S,
)
REQUEST = RequestView(
    RequestId(1), "demo:latest", RequestState.WAITING, CAUSE, None, LoadId(7), None, 0, NS_PER_S, None
)


def wall(core_ns: int) -> str:
    return times.rfc3339_local(WALL_AT_ZERO_NS + core_ns)


async def test_it_shows_who_waits_for_what_in_wall_time(front: FakeFront, call: Caller) -> None:
    front.view = msgspec.structs.replace(NOTHING_LOADED, at=2 * NS_PER_S, loads=(LOAD,), requests=(REQUEST,))
    state = (await call.get("/debug/state")).json
    assert (state["engine"], state["service"], state["at"]) == ("fake 1.0", "open", wall(2 * NS_PER_S))
    assert state["spare"] == {"state": "warm", "pid": 4242}
    (load,), (request,) = state["loads"], state["requests"]
    assert load["cause"] == {
        "cause": "bytes",
        "holders": ["runner 3"],
        "words": "waits for memory that runner 3 holds",
        "until": wall(9 * NS_PER_S),
    }
    assert (load["claimants"], load["opened_at"]) == ([1], wall(NS_PER_S))
    assert load["deadline"] == wall(8 * NS_PER_S)
    assert load["deadlines"] == [{"name": "backoff", "due": wall(5 * NS_PER_S)}]
    assert (request["arrived_at"], request["deadline"]) == (wall(NS_PER_S), None)


@pytest.mark.parametrize(("keep_alive_ns", "shown"), [(300 * NS_PER_S, "5m0s"), (FOREVER_NS, -1), (0, "0s")])
async def test_a_keep_alive_is_shown_as_it_is_written(
    front: FakeFront, call: Caller, keep_alive_ns: int, shown: object
) -> None:
    runners = (runner(1, keep_alive_ns=keep_alive_ns),)
    front.view = msgspec.structs.replace(NOTHING_LOADED, runners=runners)
    (listed,) = (await call.get("/debug/state")).json["runners"]
    assert listed["keep_alive"] == shown
    assert "keep_alive_ns" not in listed


async def test_no_text_of_a_prompt_or_an_answer_is_in_it(front: FakeFront, call: Caller) -> None:
    await call.post("/api/generate", {"model": "demo", "prompt": "a secret prompt"})
    body = (await call.get("/debug/state")).body
    assert b"secret" not in body
    assert b"Hello" not in body
