"""Pages of strangers in a browser of this machine: they reach no handler, whatever they ask for and however.

A browser sends a page's wish to any address that the page's name resolves to. It says in ``Host`` which name that was
and in ``Origin`` which page it is, and lets no page change either. These two carry what a check of the request's
content type would: clients of these APIs send whatever content type they like.
"""

from typing import Any

import pytest

from service.http.doors import Door
from service.http.routes import HEALTH, OPERATORS, ROUTES, Route
from tests.bad_input.rows import GOOD
from tests.fakes.front import FakeFront, settings
from tests.service.http.calling import Caller
from tests.service.http.serving import exchange, get, served

EVERY = {route.path: route for route in (*ROUTES, *OPERATORS, HEALTH)}
REBOUND = ["evil.example", "evil.example:11434", "127.0.0.1.evil.example", "localhost.evil.example", "8.8.8.8"]
STRANGERS = ["https://evil.example", "http://evil.example:11434", "http://localhost.evil.example", "null"]
SIMPLE = ("text/plain", "application/x-www-form-urlencoded", "multipart/form-data; boundary=x")
"""Content types with which a browser sends a body to a stranger without asking before."""


def path_of(route: Route) -> str:
    """A path that leads to the route."""
    return route.path.replace("<path:model>", "demo").replace("<digest>", "sha256:ab").replace("<key>", "k")


def reached(front: FakeFront) -> tuple[Any, ...]:
    """What handlers have asked of the service."""
    return (front.leased, front.generated, front.stopped)


@pytest.mark.parametrize("host", REBOUND)
@pytest.mark.parametrize("path", EVERY)
async def test_cve_2024_28224_a_rebound_name_reaches_no_route(
    front: FakeFront, call: Caller, path: str, host: str
) -> None:
    route = EVERY[path]
    for method in (*route.methods, "OPTIONS"):
        reply = await call(method, path_of(route), GOOD.get(path), Host=host)
        assert (reply.status, reply.body) == (403, b""), method
    assert reached(front) == ([], [], [])


@pytest.mark.parametrize("host", ["evil.example:11434", "localhost.evil.example:11434"])
async def test_cve_2024_28224_a_page_under_a_rebound_name_is_a_strangers_on_every_listener(host: str) -> None:
    front = FakeFront(settings(host="0.0.0.0", allow_remote=True))
    call = Caller(front)
    for content_type in SIMPLE:
        head = {"Host": host, "Origin": f"http://{host}", "Content_Type": content_type}
        reply = await call.post("/api/generate", GOOD["/api/generate"], **head)
        assert (reply.status, reply.body) == (403, b""), content_type
    assert reached(front) == ([], [], [])
    assert (await call.post("/api/generate", GOOD["/api/generate"], Host=host)).status == 200  # a program, no page
    own = "192.168.1.20:11434"
    assert (await call.get("/api/version", Host=own, Origin=f"http://{own}")).status == 200


@pytest.mark.parametrize("origin", STRANGERS)
@pytest.mark.parametrize("path", [path for path, route in EVERY.items() if {"POST", "DELETE"} & {*route.methods}])
async def test_cve_2024_28224_a_strangers_page_changes_nothing_with_whatever_content_type(
    front: FakeFront, call: Caller, path: str, origin: str
) -> None:
    route = EVERY[path]
    for content_type in (*SIMPLE, "application/json"):
        head = {"Origin": origin, "Content_Type": content_type}
        reply = await call(route.methods[0], path_of(route), GOOD.get(path), **head)
        assert (reply.status, reply.body) == (403, b""), content_type
        assert "Access-Control-Allow-Origin" not in reply.headers
    assert reached(front) == ([], [], [])


@pytest.mark.parametrize("path", EVERY)
async def test_cve_2024_28224_no_page_is_told_that_every_page_may_ask(call: Caller, path: str) -> None:
    route = EVERY[path]
    for method in (*route.methods, "OPTIONS"):
        reply = await call(method, path_of(route), GOOD.get(path), Origin="http://localhost:3000")
        assert reply.headers.get("Access-Control-Allow-Origin") != "*", method
        assert "Access-Control-Allow-Credentials" not in reply.headers


@pytest.mark.parametrize("path", [path for path, route in EVERY.items() if "GET" in route.methods])
async def test_cve_2024_28224_what_a_link_or_a_picture_can_ask_for_changes_nothing(
    front: FakeFront, call: Caller, path: str
) -> None:
    """A GET of another site's page may come without an Origin."""
    await call.get(path_of(EVERY[path]) + "?model=demo&keep_alive=0&prompt=hi")
    assert reached(front) == ([], [], [])


UPGRADE = ("Upgrade: h2c", "Connection: Upgrade, HTTP2-Settings, close", "HTTP2-Settings: AAMAAABkAAQAAP__")


@pytest.mark.parametrize(
    ("request_bytes", "status"),
    [(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", b"505"), (get("/", *UPGRADE), b"200")],
    ids=["at once", "by upgrade"],
)
async def test_cve_2024_28224_no_second_protocol_has_a_host_of_its_own(
    front: FakeFront, request_bytes: bytes, status: bytes
) -> None:
    """HTTP/2 names its host elsewhere; it is not spoken, and an upgrade to it is not heard."""
    async with served(front) as address:
        answer = await exchange(address, request_bytes)
    assert answer.split()[:2] == [b"HTTP/1.1", status]


@pytest.mark.parametrize("path", [route.path for route in OPERATORS])
async def test_ollama_16656_what_operators_see_is_not_for_other_machines(path: str) -> None:
    for door, expected in ((Door.BOTH, 403), (Door.API, 404)):
        call = Caller(FakeFront(settings(host="0.0.0.0", allow_remote=True)), door=door)
        reply = await call("GET", path_of(EVERY[path]), peer="203.0.113.9")
        assert reply.status == expected


@pytest.mark.parametrize("path", EVERY)
async def test_llama_cpp_25790_no_route_is_a_page_that_a_browser_would_run(call: Caller, path: str) -> None:
    route = EVERY[path]
    reply = await call(route.methods[0], path_of(route) + "?q=<script>alert(1)</script>", GOOD.get(path))
    assert reply.content_type.split(";")[0] in (
        "application/json",
        "application/x-ndjson",
        "text/event-stream",
        "text/plain",
    )
    assert b"<script>" not in reply.body
