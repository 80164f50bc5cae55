"""Who may see what operators see, for each of the routes."""

import pytest

from service.http.doors import Door
from service.http.operators.gate import PROXY_HEADERS
from service.http.routes import OPERATORS
from tests.fakes.front import FakeFront, settings
from tests.service.http.calling import Caller, Reply

ROUTES = [route.path for route in OPERATORS]
MAY = [
    pytest.param(Door.BOTH, "127.0.0.1", {}, id="this machine"),
    pytest.param(Door.BOTH, "::1", {}, id="this machine by IPv6"),
    pytest.param(Door.BOTH, "::ffff:127.0.0.1", {}, id="this machine by IPv4 in IPv6"),
    pytest.param(Door.BOTH, "127.0.0.1", {"Host": "127.0.0.1:11434", "Origin": "http://127.0.0.1:11434"}, id="itself"),
    pytest.param(Door.OPERATORS, "127.0.0.1", {}, id="the admin port"),
    pytest.param(Door.OPERATORS, "", {}, id="the admin socket"),
    pytest.param(Door.OPERATORS, "", {"Host": ""}, id="the admin socket without a name"),
    pytest.param(Door.OPERATORS, "", {"X-Forwarded-For": "10.0.0.7"}, id="a proxy that was given the admin socket"),
]
MAY_NOT = [
    pytest.param(Door.BOTH, "192.168.1.20", {}, id="another machine"),
    pytest.param(Door.BOTH, "", {}, id="nobody"),
    pytest.param(Door.BOTH, "localhost.example.com", {}, id="a name"),
    pytest.param(Door.BOTH, "192.168.1.20", {"X-Forwarded-For": "127.0.0.1"}, id="another machine that lies"),
    pytest.param(Door.BOTH, "127.0.0.1", {"Host": "rebound.example.com:11434"}, id="a rebound name"),
    pytest.param(Door.BOTH, "127.0.0.1", {"Origin": "https://example.com"}, id="a stranger's page"),
    pytest.param(Door.BOTH, "127.0.0.1", {"Origin": "http://localhost:3000"}, id="a page of another local server"),
    pytest.param(Door.BOTH, "127.0.0.1", {"Origin": "null"}, id="a page from nowhere"),
    pytest.param(Door.OPERATORS, "127.0.0.1", {"Host": "rebound.example.com"}, id="a rebound name at the admin port"),
    pytest.param(Door.OPERATORS, "", {"Host": "rebound.example.com"}, id="a rebound name at the admin socket"),
    pytest.param(Door.OPERATORS, "", {"Origin": "http://evil.example"}, id="a stranger's page at the admin socket"),
    *(pytest.param(Door.BOTH, "127.0.0.1", {name: "x"}, id=f"a proxy by {name}") for name in PROXY_HEADERS),
    *(pytest.param(Door.BOTH, "127.0.0.1", {name: ""}, id=f"a proxy by an empty {name}") for name in PROXY_HEADERS),
]


async def ask(door: Door, peer: str, head: dict[str, str], path: str) -> Reply:
    """A listener on every address: what guards it otherwise must not be needed here."""
    host = "0.0.0.0" if door is Door.BOTH else "127.0.0.1"
    call = Caller(FakeFront(settings(host=host, allow_remote=True)), door=door)
    return await call("GET", path, peer=peer, **head)


@pytest.mark.parametrize("path", ROUTES)
@pytest.mark.parametrize(("door", "peer", "head"), MAY)
async def test_a_program_of_this_machine_may_look(door: Door, peer: str, head: dict[str, str], path: str) -> None:
    reply = await ask(door, peer, head, path)
    assert reply.status == 200
    assert reply.body


@pytest.mark.parametrize("path", ROUTES)
@pytest.mark.parametrize(("door", "peer", "head"), MAY_NOT)
async def test_others_may_not(door: Door, peer: str, head: dict[str, str], path: str) -> None:
    reply = await ask(door, peer, head, path)
    assert reply.status == 403
    assert reply.body in (
        b"",
        b'{"error":"%s"}' % b"this answers only to programs on the machine that the service "
        b"runs on, under its own name",
    )


@pytest.mark.parametrize("path", ROUTES)
@pytest.mark.parametrize("peer", ["127.0.0.1", "192.168.1.20"])
async def test_where_operators_have_a_listener_of_their_own_the_other_one_says_so_to_everybody(
    path: str, peer: str
) -> None:
    reply = await ask(Door.API, peer, {}, path)
    assert reply.status == 404
    assert "answers on the service's admin listener only" in reply.json["error"]


@pytest.mark.parametrize("path", ROUTES)
async def test_origins_that_may_use_the_api_may_not_look(path: str) -> None:
    call = Caller(FakeFront(settings(origins=("*",))))
    reply = await call.get(path, Origin="https://example.com")
    assert reply.status == 403
    assert (await call.get("/api/tags", Origin="https://example.com")).status == 200


async def test_the_listener_of_operators_serves_no_models() -> None:
    assert (await ask(Door.OPERATORS, "", {}, "/api/tags")).status == 404
