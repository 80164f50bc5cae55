"""The guard and CORS in front of every route, known or not."""

import pytest

from tests.fakes.front import FakeFront, settings
from tests.service.http.calling import Caller

PATHS = ["/", "/api/version", "/api/nothing", "/v1/models", "/debug/state", "/api/tags/"]


@pytest.mark.parametrize("path", PATHS)
async def test_a_hostile_host_gets_an_empty_403(call: Caller, path: str) -> None:
    reply = await call.get(path, Host="rebound.example.com:11434")
    assert (reply.status, reply.body) == (403, b"")
    assert reply.headers["X-Request-Id"]


async def test_a_listener_for_other_machines_has_no_host_guard() -> None:
    call = Caller(FakeFront(settings(host="192.168.1.20", allow_remote=True)))
    assert (await call.get("/api/version", Host="box.example.com")).status == 200


@pytest.mark.parametrize("path", PATHS)
async def test_a_foreign_page_gets_an_empty_403(call: Caller, path: str) -> None:
    reply = await call.get(path, Origin="https://example.com")
    assert (reply.status, reply.body) == (403, b"")
    assert "Access-Control-Allow-Origin" not in reply.headers


async def test_a_page_cannot_call_its_own_origin_under_a_rebound_name(call: Caller) -> None:
    reply = await call.get("/api/version", Host="evil.example:11434", Origin="http://evil.example:11434")
    assert reply.status == 403


@pytest.mark.parametrize("path", ["/api/version", "/api/nothing"])
async def test_an_allowed_page_is_told_so_with_every_answer(call: Caller, path: str) -> None:
    reply = await call.get(path, Origin="http://localhost:3000")
    assert reply.headers["Access-Control-Allow-Origin"] == "http://localhost:3000"
    assert reply.headers["Vary"] == "Origin"


async def test_a_page_of_this_server_needs_no_cors(call: Caller) -> None:
    reply = await call.get("/api/version", Host="localhost:11434", Origin="http://localhost:11434")
    assert reply.status == 200
    assert "Access-Control-Allow-Origin" not in reply.headers


@pytest.mark.parametrize("path", ["/api/chat", "/api/nothing"])
async def test_a_preflight_is_answered_without_a_handler(call: Caller, path: str) -> None:
    reply = await call("OPTIONS", path, Origin="http://localhost:3000")
    assert (reply.status, reply.body) == (204, b"")
    assert not {"Content-Length", "Content-Type"} & set(reply.headers)
    assert reply.headers["Access-Control-Max-Age"] == "43200"
    assert "POST" in reply.headers["Access-Control-Allow-Methods"]


async def test_a_preflight_of_a_foreign_page_is_refused(call: Caller) -> None:
    assert (await call("OPTIONS", "/api/chat", Origin="https://example.com")).status == 403


@pytest.mark.parametrize(("host", "status"), [("localhost", 204), ("box.local:1", 204), ("127.0.0.1", 405)])
async def test_options_from_no_page_is_answered_for_names_only(call: Caller, host: str, status: int) -> None:
    assert (await call("OPTIONS", "/api/chat", Host=host)).status == status


async def test_a_host_that_is_no_authority_is_hostile(call: Caller) -> None:
    assert (await call.get("/api/version", Host="localhost:1:2")).status == 403
