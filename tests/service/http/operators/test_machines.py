"""GET /debug/machines: Mermaid text, and GET /debug/tasks: the tree."""

import msgspec

from tests.fakes.front import NOTHING_LOADED, FakeFront, runner
from tests.service.http.calling import Caller


async def test_the_machines_are_drawn_with_who_is_in_them(front: FakeFront, call: Caller) -> None:
    front.view = msgspec.structs.replace(NOTHING_LOADED, runners=(runner(3),))
    reply = await call.get("/debug/machines")
    assert (reply.status, reply.content_type) == (200, "text/plain; charset=utf-8")
    text = reply.body.decode()
    assert text.startswith("stateDiagram-v2\n")
    assert "    class runner_ready occupied\n    note right of runner_ready\n        runner 3 demo:latest\n" in text
    assert "    class spare_warm occupied\n    note right of spare_warm\n        process 4242\n" in text


async def test_the_tree_of_tasks_has_the_one_that_looks(call: Caller) -> None:
    reply = await call.get("/debug/tasks")
    assert (reply.status, reply.content_type) == (200, "application/json; charset=utf-8")
    assert set(reply.json) == {"name", "stands_in", "nurseries", "left_out"}
    assert b"service.http.exchange.Connection.handle_messages" in reply.body
