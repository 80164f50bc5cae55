"""What one client may leave undone, and for how long: real sockets, and time that passes when the test says so."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from itertools import product

import pytest
import trio
from trio.testing import MockClock, wait_all_tasks_blocked

from service.http.app import SERVER
from service.http1 import Http1
from statemachines.limits import Limits
from statemachines.units import NS_PER_S
from tests.fakes.front import FakeFront, Script, settings
from tests.service.http.serving import exchange, get, post, served

KEPT = b"GET /api/version HTTP/1.1\r\nHost: localhost\r\n\r\n"
ASK = b'{"model":"demo","prompt":"hi"}'


@asynccontextmanager
async def client(address: str) -> AsyncIterator[trio.SocketStream]:
    host, _, port = address.rpartition(":")
    async with await trio.open_tcp_stream(host, int(port)) as stream:
        yield stream


async def heard(stream: trio.SocketStream) -> bytes:
    """All that comes until the server closes."""
    return b"".join([data async for data in stream])


async def one_answer(stream: trio.SocketStream, request: bytes = KEPT) -> bytes:
    """An answer on a connection that stays open."""
    await stream.send_all(request)
    received = b""
    while not received.endswith(b"}"):
        data = await stream.receive_some()
        assert data, "the connection was closed"
        received += data
    return received


async def pass_time(clock: MockClock, seconds: float) -> None:
    """Let everybody do what they can now, then let time pass, then let them see it."""
    await wait_all_tasks_blocked()
    clock.jump(seconds)
    await wait_all_tasks_blocked()


def front_with(**limits: int) -> FakeFront:
    return FakeFront(settings(**limits))


# Heads


async def test_half_a_head_is_answered_with_408(mock_clock: MockClock) -> None:
    async with served(front_with(head_ns=3 * NS_PER_S)) as address, client(address) as stream:
        await stream.send_all(KEPT[:20])
        await pass_time(mock_clock, 4)
        answer = await heard(stream)
    assert answer.startswith(b"HTTP/1.1 408 ")
    assert SERVER.encode() in answer
    assert b"x-request-id: fake-" in answer


async def test_a_head_that_drips_gets_no_more_time_for_each_drop(mock_clock: MockClock) -> None:
    async with served(front_with(head_ns=3 * NS_PER_S)) as address, client(address) as stream:
        for drop in (KEPT[:5], KEPT[5:10], KEPT[10:15]):
            await stream.send_all(drop)
            await pass_time(mock_clock, 1.5)
        assert (await heard(stream)).startswith(b"HTTP/1.1 408 ")


async def test_a_client_that_says_nothing_is_left_without_a_word(mock_clock: MockClock) -> None:
    async with served(front_with(head_ns=3 * NS_PER_S)) as address, client(address) as stream:
        await pass_time(mock_clock, 4)
        assert await heard(stream) == b""


async def test_between_two_requests_a_client_has_its_time_and_then_for_a_head_again(mock_clock: MockClock) -> None:
    limits = {"head_ns": 3 * NS_PER_S, "idle_connection_ns": 9 * NS_PER_S}
    async with served(front_with(**limits)) as address, client(address) as stream:
        assert b" 200 " in await one_answer(stream)
        await pass_time(mock_clock, 6)
        assert b" 200 " in await one_answer(stream)
        await stream.send_all(KEPT[:20])
        await pass_time(mock_clock, 4)
        assert (await heard(stream)).startswith(b"HTTP/1.1 408 ")


async def test_a_connection_without_requests_is_closed(mock_clock: MockClock) -> None:
    async with served(front_with(idle_connection_ns=9 * NS_PER_S)) as address, client(address) as stream:
        await one_answer(stream)
        await pass_time(mock_clock, 10)
        assert await heard(stream) == b""


def padded(size: int) -> bytes:
    """A request whose head has this size."""
    bare = get("/", "X: ")
    return get("/", "X: " + "x" * (size - len(bare)))


@pytest.mark.parametrize(("size", "status"), [(2000, b"200"), (2002, b"431"), (200_000, b"431")])
async def test_a_head_may_be_so_large(size: int, status: bytes) -> None:
    async with served(front_with(head_bytes_max=2000)) as address:
        assert (await exchange(address, padded(size))).startswith(b"HTTP/1.1 " + status)


async def test_a_line_that_does_not_end_is_not_read_to_its_end() -> None:
    async with served(front_with(head_bytes_max=2000)) as address:
        assert (await exchange(address, b"GET /" + b"a" * 3000)).startswith(b"HTTP/1.1 431 ")


@pytest.mark.parametrize(("fields", "status"), [(10, b"200"), (11, b"431"), (1000, b"431")])
async def test_a_head_may_have_so_many_fields(fields: int, status: bytes) -> None:
    more = [f"X-{number}: 1" for number in range(fields - 2)]  # beside Host and Connection
    async with served(front_with(head_fields_max=10)) as address:
        assert (await exchange(address, get("/", *more))).startswith(b"HTTP/1.1 " + status)


async def test_http_2_is_refused_in_words_of_http_1() -> None:
    async with served(front_with()) as address:
        assert (await exchange(address, b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n")).startswith(b"HTTP/1.1 505 ")


async def test_an_offer_to_change_to_http_2_is_not_taken() -> None:
    offer = ("Connection: Upgrade, HTTP2-Settings, close", "Upgrade: h2c", "HTTP2-Settings: AAMAAABkAARAAAAAAAIAAAAA")
    async with served(front_with()) as address:
        assert (await exchange(address, get("/", *offer))).startswith(b"HTTP/1.1 200 ")


async def test_requests_that_come_together_are_answered_in_turn() -> None:
    async with served(front_with()) as address:
        answers = await exchange(address, KEPT + KEPT + get("/"))
    assert answers.count(b"HTTP/1.1 200") == 3
    assert answers.endswith(b"Ollama is running")


async def test_a_client_that_has_sent_its_next_request_early_is_missed_when_it_leaves() -> None:
    front = front_with()
    front.script = Script(hold=trio.Event())
    async with served(front) as address:
        async with client(address) as stream:
            await stream.send_all(post("/api/generate", ASK).replace(b"Connection: close\r\n", b"") + KEPT[:20])
            await front.asked.wait()
        await front.left.wait()


async def test_what_comes_early_is_kept_in_order_and_no_more_than_a_head() -> None:
    front = front_with(head_bytes_max=2000)
    front.script = Script(hold=trio.Event())
    async with served(front) as address, client(address) as stream:
        await stream.send_all(post("/api/generate", ASK).replace(b"Connection: close\r\n", b"") + KEPT[:20])
        await front.asked.wait()
        await stream.send_all(KEPT[20:])
        await wait_all_tasks_blocked()
        await stream.send_all(KEPT * 100 + get("/"))
        front.script.hold.set()
        answers = await heard(stream)
    assert answers.count(b"HTTP/1.1 200") == 103
    assert answers.endswith(b"Ollama is running")


# Bodies


async def test_half_a_body_is_answered_with_408(mock_clock: MockClock) -> None:
    front = front_with(body_ns=3 * NS_PER_S)
    async with served(front) as address, client(address) as stream:
        await stream.send_all(post("/v1/chat/completions", ASK)[:-10])
        await pass_time(mock_clock, 4)
        answer = await heard(stream)
    assert answer.startswith(b"HTTP/1.1 408 ")
    assert b"the request body took longer than 3 s; send it again" in answer
    assert front.leased == []


async def test_a_client_that_goes_on_sending_still_hears_why_it_is_refused(mock_clock: MockClock) -> None:
    body = b" " * (4 << 20)
    async with served(front_with(body_bytes_max=1000)) as address:
        assert (await exchange(address, post("/api/chat", body))).startswith(b"HTTP/1.1 413 ")


# Answers


async def fill(stream: trio.SocketStream, front: FakeFront) -> None:
    """Ask for an answer that no buffer holds, and do not read it."""
    front.script = Script(texts=("x" * (1 << 20),) * 64)
    await stream.send_all(post("/api/generate", ASK))
    await front.asked.wait()


async def test_a_client_that_takes_nothing_loses_its_answer(mock_clock: MockClock) -> None:
    front = front_with(client_stall_ns=3 * NS_PER_S)
    async with served(front) as address, client(address) as stream:
        await fill(stream, front)
        await pass_time(mock_clock, 4)
        await front.left.wait()
        assert front.open_leases == 0


async def test_a_client_that_takes_little_at_a_time_keeps_its_answer(mock_clock: MockClock) -> None:
    front = front_with(client_stall_ns=3 * NS_PER_S)
    async with served(front) as address, client(address) as stream:
        await fill(stream, front)
        taken = 0
        while taken < 16 << 20:
            await pass_time(mock_clock, 0.01)
            taken += len(await stream.receive_some(1 << 20))
        assert front.open_leases == 1


async def test_a_fault_on_one_connection_stays_there(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    async def break_down(*_: object) -> None:
        raise ZeroDivisionError("planted")

    async with served(front_with()) as address:
        with monkeypatch.context() as patched:
            patched.setattr(Http1, "handle", break_down)
            assert await exchange(address, get("/")) == b""
        assert b" 200 " in await exchange(address, get("/"))
    assert "planted" in capsys.readouterr().err


async def test_a_handshake_for_a_websocket_leaves_no_connection_behind() -> None:
    """Neither a whole one with frames behind it nor half of one."""
    whole = ("Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==", "Sec-WebSocket-Version: 13")
    for fields, word in product((whole, ()), (b"websocket", b"WebSocket", b"websocket\xa0", b"\x85websocket")):
        request = get("/", "Upgrade: WORD", *fields).replace(b": close", b": Upgrade").replace(b"WORD", word)
        async with served(front_with()) as address:
            assert (await exchange(address, request + b"\x81\x05hello")).startswith(b"HTTP/1.1 403 ")


async def test_a_body_of_two_lengths_hides_no_second_request() -> None:
    """A proxy that believes the other length has passed the second one on as a body."""
    for fields in (("Transfer-Encoding: chunked",), ("transfer-encoding:  Chunked", "X: y")):
        request = post("/api/generate", b"0\r\n\r\n", *fields).replace(b"Connection: close\r\n", b"") + KEPT
        async with served(front_with()) as address:
            answer = await exchange(address, request)
        assert answer.startswith(b"HTTP/1.1 400 ")
        assert answer.count(b"HTTP/1.1 ") == 1


@pytest.mark.parametrize("behind", [b"\r\n", b"x" * 100_000, KEPT])
async def test_what_is_said_behind_the_last_request_costs_nobody_an_answer(behind: bytes) -> None:
    request = post("/api/generate", b'{"model":"demo","prompt":"hi","stream":false}')
    async with served(front_with()) as address:
        answer = await exchange(address, request + behind)
        assert answer.startswith(b"HTTP/1.1 200 ")
        assert answer.count(b"HTTP/1.1 ") == 1


@pytest.mark.parametrize("ends", [b"\r\n", b"\n", b"\r\n" * 50])
async def test_line_ends_before_a_request_are_none(ends: bytes) -> None:
    """Those that come with what is before them, and those that come alone."""
    asked = post("/api/show", b'{"model":"demo"}').replace(b"Connection: close\r\n", b"")
    async with served(front_with()) as address, client(address) as stream:
        for request in (ends + KEPT, asked + ends, asked + ends, KEPT):
            assert (await one_answer(stream, request)).startswith(b"HTTP/1.1 200 ")
        await stream.send_all(ends)
        await wait_all_tasks_blocked()
        answer = await one_answer(stream)
        assert (answer[:13], answer.count(b"HTTP/1.1")) == (b"HTTP/1.1 200 ", 1)


async def test_line_ends_begin_no_head(mock_clock: MockClock) -> None:
    limits = {"head_ns": 3 * NS_PER_S, "idle_connection_ns": 9 * NS_PER_S}
    async with served(front_with(**limits)) as address, client(address) as stream:
        await one_answer(stream)
        await stream.send_all(b"\r\n")
        await pass_time(mock_clock, 6)
        assert b" 200 " in await one_answer(stream)
        await stream.send_all(b"\r\n")
        await pass_time(mock_clock, 6)
        await stream.send_all(b"\r\n")
        await pass_time(mock_clock, 4)
        assert await heard(stream) == b""


@pytest.mark.parametrize("target", [b"http://[", b"http://%5B", b"//[", b"http://\xe2\x84\x80.example/"])
async def test_a_target_that_cannot_be_taken_apart_is_a_bad_request(target: bytes) -> None:
    async with served(front_with()) as address:
        answer = await exchange(address, get("TARGET").replace(b"TARGET", target))
    assert answer.startswith((b"HTTP/1.1 400 ", b"HTTP/1.1 404 "))
    assert b"x-request-id: fake-" in answer


async def test_what_is_said_while_the_last_answer_is_made_does_not_end_it() -> None:
    front = FakeFront(settings(), script=Script(hold=trio.Event()))
    async with served(front) as address, client(address) as stream:
        await stream.send_all(post("/api/generate", ASK))
        await wait_all_tasks_blocked()
        await stream.send_all(b"\r\n")
        await wait_all_tasks_blocked()
        front.script.hold.set()
        assert b'"done":true' in await heard(stream)


# Who leaves

OFFER = ("Upgrade: h2c", "HTTP2-Settings: AAMAAABkAARAAAAAAAIAAAAA")
WHOLE = b'{"model":"demo","prompt":"hi","stream":false}'


@pytest.mark.parametrize(
    "words",
    [
        post("/api/generate", WHOLE, *OFFER).replace(b": close", b": Upgrade, HTTP2-Settings"),
        post("/api/generate", WHOLE).replace(b"Connection: close\r\n", b"") + KEPT,
    ],
    ids=["an offer of another protocol", "a further request"],
)
async def test_a_client_that_leaves_is_noticed_whatever_it_said_beside_its_request(words: bytes) -> None:
    front = front_with()
    front.script = Script(stall=trio.Event())
    async with served(front) as address:
        async with client(address) as stream:
            await stream.send_all(words)
            await front.asked.wait()
        await front.left.wait()
    assert front.open_leases == 0


async def test_what_is_said_before_its_turn_is_kept_and_no_more_than_a_head_of_it() -> None:
    front = front_with()
    front.script = Script(stall=trio.Event())
    first = post("/api/generate", WHOLE).replace(b"Connection: close\r\n", b"") + KEPT[:10]
    async with served(front) as address, client(address) as stream:
        await stream.send_all(first)
        await front.asked.wait()
        await stream.send_all(KEPT[10:] + KEPT * 500 + get("/"))
        await wait_all_tasks_blocked()
        front.script.stall.set()
        answers = await heard(stream)
    assert answers.count(b"HTTP/1.1 200") == 503


async def test_a_request_that_ends_with_the_service_is_not_answered_in_its_place() -> None:
    at_once = Limits(shutdown_drain_ns=0, stop_grace_ns=0, kill_grace_ns=0)
    async with served(FakeFront(settings(limits=at_once))) as address:
        host, _, port = address.rpartition(":")
        stream = await trio.open_tcp_stream(host, int(port))
        await stream.send_all(b"POST /api/generate HTTP/1.1\r\nHost: localhost\r\nContent-Length: 100\r\n\r\n{")
        await wait_all_tasks_blocked()
    async with stream:
        assert await heard(stream) == b""
