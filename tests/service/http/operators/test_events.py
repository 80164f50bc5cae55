"""GET /debug/events: the end of the journal."""

import msgspec
import pytest

from service.http.times import rfc3339_local
from statemachines import effects, events
from statemachines.units import NS_PER_S, LeaseId, RequestId, RunnerId
from tests.fakes.front import NOTHING_LOADED, WALL_AT_ZERO_NS, FakeFront
from tests.service.http.calling import Caller
from tests.service.http.operators.following import write
from tests.service.http.operators.test_state import LOAD


async def test_each_line_is_one_step_with_its_id_and_its_time(call: Caller) -> None:
    moved = effects.ReportTransition("request", 2, "leased", "done", "Finished", "over")
    call.lookout.journal.write(events.RequestFinished(at=NS_PER_S, request=RequestId(2)), (moved,))
    reply = await call.get("/debug/events")
    assert (reply.status, reply.content_type) == (200, "application/x-ndjson")
    opened, finished = reply.lines
    start = call.lookout.start
    assert (opened["id"], opened["event"]["event"], opened["effects"]) == (f"{start}-1", "ServiceOpened", [])
    assert finished == {
        "id": f"{start}-2",
        "time": rfc3339_local(WALL_AT_ZERO_NS + NS_PER_S),
        "event": {"event": "RequestFinished", "at": NS_PER_S, "request": 2},
        "effects": [
            {
                "effect": "ReportTransition",
                "machine": "request",
                "id": 2,
                "source": "leased",
                "target": "done",
                "trigger": "Finished",
                "why": "over",
            }
        ],
    }


async def test_a_limit_takes_the_latest(call: Caller) -> None:
    write(call.lookout, 2, 300)
    assert len((await call.get("/debug/events")).lines) == 100
    lines = (await call.get("/debug/events?limit=3")).lines
    assert [line["event"]["request"] for line in lines] == [299, 300, 301]
    assert len((await call.get("/debug/events?limit=1000000")).lines) == 301
    assert (await call.get("/debug/events?limit=0")).body == b""


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ("request=5", [5]),
        ("request=fake-5", [5]),
        ("request=5&runner=3", [5, 6]),
        ("load=7", [7]),
        ("model=demo:latest", [7]),
        ("model=nobody", []),
    ],
)
async def test_only_what_names_the_wanted_is_shown(
    front: FakeFront, call: Caller, query: str, expected: list[int]
) -> None:
    front.view = msgspec.structs.replace(NOTHING_LOADED, loads=(LOAD,))
    journal = call.lookout.journal
    write(call.lookout, 2, 4)
    granted = effects.GrantLease(RequestId(6), LeaseId(1), RunnerId(3), None)
    journal.write(events.RequestFinished(request=RequestId(6)), (granted,))
    moved = effects.ReportTransition("load", LOAD.load, "waiting", "failed", "LoadRefused")
    journal.write(events.RequestFinished(request=RequestId(7)), (moved,))
    lines = (await call.get(f"/debug/events?{query}")).lines
    assert [line["event"]["request"] for line in lines] == expected


@pytest.mark.parametrize(
    ("query", "words"),
    [
        ("follow=perhaps", "follow must be 0 or 1"),
        ("limit=many", "limit must be a whole number"),
        ("limit=-1", "limit must be a whole number"),
        ("limit=" + "9" * 30, "limit must be a whole number"),
        ("request=x", "request must be a whole number"),
        ("runner=1.5", "runner must be a whole number"),
        ("load=%D9%A3", "load must be a whole number"),
        ("runner=fake-1", "'fake-1' is no runner of this start of the service"),
        ("request=other-5", "'other-5' is no request of this start of the service"),
        ("request=fake-05", "'fake-05' is no request of this start of the service"),
    ],
)
async def test_a_parameter_that_means_nothing_is_refused(call: Caller, query: str, words: str) -> None:
    reply = await call.get(f"/debug/events?{query}")
    assert (reply.status, reply.json) == (400, {"error": words})
