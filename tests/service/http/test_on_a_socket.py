"""The app behind its real server: what a test client cannot see."""

import json
import logging

import pytest
import trio

from service.http.app import SERVER
from tests.fakes.front import FakeFront, Script
from tests.service.http.serving import exchange, get, post, served

ASK = b'{"model":"demo","prompt":"hi"}'


def head_of(answer: bytes) -> tuple[int, dict[bytes, list[bytes]]]:
    head, _, _ = answer.partition(b"\r\n\r\n")
    first, *lines = head.split(b"\r\n")
    headers: dict[bytes, list[bytes]] = {}
    for line in lines:
        name, _, value = line.partition(b": ")
        headers.setdefault(name.lower(), []).append(value)
    return int(first.split()[1]), headers


@pytest.mark.parametrize(
    ("request_bytes", "status"),
    [
        (get("/"), 200),
        (get("/api/tags"), 200),
        (get("/nope"), 404),
        (get("/api/tags", method="POST"), 405),
        (get("/api/tags/"), 301),
        (get("/", "Origin: https://example.com"), 403),
        (get("/", "Origin: http://localhost", method="OPTIONS"), 204),
        (post("/api/generate", ASK), 200),
        (post("/v1/chat/completions", b"nope"), 400),
        (post("/api/pull", b"{}"), 501),
    ],
)
async def test_every_answer_has_our_name_once_and_an_id(front: FakeFront, request_bytes: bytes, status: int) -> None:
    async with served(front) as address:
        got, headers = head_of(await exchange(address, request_bytes))
    assert got == status
    assert headers[b"server"] == [SERVER.encode()]
    assert headers[b"x-request-id"] == [b"fake-1"]


@pytest.mark.parametrize(
    ("request_bytes", "expected"),
    [(b"NOT HTTP\r\n\r\n", 400), (get("/", "X: " + "x" * 100_000), 431)],
    ids=["no HTTP", "a huge header"],
)
async def test_an_answer_of_the_parser_has_our_name_and_an_id_too(
    front: FakeFront, request_bytes: bytes, expected: int
) -> None:
    async with served(front) as address:
        status, headers = head_of(await exchange(address, request_bytes))
    assert (status, headers[b"server"], headers[b"x-request-id"]) == (expected, [SERVER.encode()], [b"fake-1"])


async def test_head_is_get_without_a_body(front: FakeFront) -> None:
    async with served(front) as address:
        head = await exchange(address, get("/api/tags", method="HEAD"))
        body = await exchange(address, get("/api/tags"))
    assert head.endswith(b"\r\n\r\n")
    assert head_of(head)[1][b"content-length"] == head_of(body)[1][b"content-length"]
    assert not body.endswith(b"\r\n\r\n")


@pytest.mark.parametrize(
    "target", ["//evil.example/", "//evil.example", "/%2e%2e/", "/%00", "/a%0d%0aX:%20y/", "*", "?a=b"]
)
async def test_an_odd_target_is_never_redirected_to(front: FakeFront, target: str) -> None:
    async with served(front) as address:
        status, headers = head_of(await exchange(address, get(target)))
    assert status == (200 if target == "?a=b" else 404)
    assert b"location" not in headers


async def test_a_redirect_stays_on_this_server(front: FakeFront) -> None:
    async with served(front) as address:
        status, headers = head_of(await exchange(address, get("//api/tags/")))
    assert (status, headers[b"location"]) == (301, [b"/api/tags"])


@pytest.mark.parametrize(
    ("method", "target"),
    [("POST", "/api/blobs/%00/"), ("DELETE", "/api/user/keys/a%0d%0aX:b/"), ("DELETE", "/api/user/keys/a%3Fb%23c/")],
)
async def test_a_redirect_says_escapes_as_they_came(front: FakeFront, method: str, target: str) -> None:
    async with served(front) as address:
        status, headers = head_of(await exchange(address, get(target, method=method)))
    assert (status, headers[b"location"]) == (307, [target[:-1].encode()])


async def test_two_host_headers_reach_no_handler(front: FakeFront) -> None:
    async with served(front) as address:
        status, _ = head_of(await exchange(address, get("/api/version", "Host: evil.example")))
    assert status in (400, 403)


async def test_pieces_are_sent_as_they_come(front: FakeFront) -> None:
    front.script = Script(texts=("one",), stall=trio.Event())
    async with served(front) as address:
        host, _, port = address.rpartition(":")
        async with await trio.open_tcp_stream(host, int(port)) as stream:
            await stream.send_all(post("/api/generate", ASK))
            received = b""
            while b'"response":"one"' not in received:
                received += await stream.receive_some()
            assert b'"done":true' not in received
            front.script.stall.set()
            received += b"".join([data async for data in stream])
    assert b"Transfer-Encoding: chunked".lower() in received.lower()
    assert received.count(b'"done":true') == 1


@pytest.mark.parametrize("path", ["/api/generate", "/api/chat", "/v1/chat/completions"])
async def test_a_client_that_leaves_during_its_answer_leaves_its_lease(front: FakeFront, path: str) -> None:
    front.script = Script(texts=("one",), stall=trio.Event())
    body = b'{"model":"demo","prompt":"hi","stream":true,"messages":[{"role":"user","content":"hi"}]}'
    async with served(front) as address:
        host, _, port = address.rpartition(":")
        async with await trio.open_tcp_stream(host, int(port)) as stream:
            await stream.send_all(post(path, body))
            while b"one" not in await stream.receive_some():
                pass
            assert front.open_leases == 1
        await front.left.wait()
        assert front.open_leases == 0


@pytest.mark.parametrize("stream", [b"true", b"false"])
async def test_a_client_that_leaves_while_it_waits_gives_up_its_place(front: FakeFront, stream: bytes) -> None:
    front.script = Script(hold=trio.Event())
    async with served(front) as address:
        host, _, port = address.rpartition(":")
        async with await trio.open_tcp_stream(host, int(port)) as connection:
            await connection.send_all(post("/api/generate", b'{"model":"demo","prompt":"hi","stream":' + stream + b"}"))
            await front.asked.wait()
        await front.left.wait()
    assert (front.open_leases, front.generated) == (0, [])


async def test_a_whole_answer_is_given_up_with_its_client(front: FakeFront) -> None:
    front.script = Script(stall=trio.Event())
    async with served(front) as address:
        host, _, port = address.rpartition(":")
        async with await trio.open_tcp_stream(host, int(port)) as connection:
            await connection.send_all(post("/api/generate", b'{"model":"demo","prompt":"hi","stream":false}'))
            await front.asked.wait()
        await front.left.wait()
    assert front.open_leases == 0


async def test_a_websocket_handshake_is_refused(front: FakeFront) -> None:
    upgrade = ("Upgrade: websocket", "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==", "Sec-WebSocket-Version: 13")
    request = get("/api/chat", *upgrade).replace(b"Connection: close", b"Connection: Upgrade")
    async with served(front) as address:
        status, headers = head_of(await exchange(address, request))
    assert (status, headers[b"x-request-id"], headers[b"server"]) == (403, [b"fake-1"], [SERVER.encode()])


async def test_debug_knows_who_really_asks(front: FakeFront) -> None:
    async with served(front) as address:
        assert head_of(await exchange(address, get("/debug/state")))[0] == 200


async def test_what_the_listener_has_to_say_is_a_line_of_our_log(
    front: FakeFront, capsys: pytest.CaptureFixture[str]
) -> None:
    async with served(front):
        logging.getLogger("trio.serve_listeners").error("accept returned EMFILE")
    (line,) = capsys.readouterr().err.splitlines()
    assert json.loads(line)["source"] == "trio.serve_listeners"
