"""GET /v1/models and /v1/models/<id>."""

import pytest

from tests.fakes.front import FakeFront, FakeStore, facts, model
from tests.service.http.calling import Caller

DEMO = {"id": "demo:latest", "object": "model", "created": 1_700_000_000, "owned_by": "library"}


async def test_the_list_has_exactly_its_content_type(call: Caller) -> None:
    reply = await call.get("/v1/models")
    assert reply.content_type == "application/json"
    assert reply.json == {"object": "list", "data": [DEMO]}


async def test_no_models_are_an_empty_list() -> None:
    reply = await Caller(FakeFront(store=FakeStore({}))).get("/v1/models")
    assert reply.body == b'{"object":"list","data":[]}'


@pytest.mark.parametrize("name", ["demo", "Demo:latest", "library/demo", "library%2Fdemo"])
async def test_a_model_is_shown_under_the_name_it_was_asked_for(call: Caller, name: str) -> None:
    reply = await call.get(f"/v1/models/{name}")
    assert reply.json == {**DEMO, "id": name.replace("%2F", "/")}
    assert reply.content_type == "application/json"


async def test_a_namespace_owns_its_models() -> None:
    call = Caller(FakeFront(store=FakeStore({model("me/demo:7b"): facts()})))
    assert (await call.get("/v1/models/me/demo:7b")).json["owned_by"] == "me"


@pytest.mark.parametrize(
    ("name", "status", "kind", "message"),
    [
        ("nope", 404, "not_found_error", "model 'nope:latest' not found"),
        ("a%20b", 400, "invalid_request_error", "invalid model name"),
    ],
)
async def test_a_model_that_is_not_there(call: Caller, name: str, status: int, kind: str, message: str) -> None:
    reply = await call.get(f"/v1/models/{name}")
    assert reply.status == status
    assert reply.json == {"error": {"message": message, "type": kind, "param": None, "code": None}}
