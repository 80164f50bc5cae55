"""The bodies of all requests together have a limit, on a real socket."""

import json

import pytest
import trio
import trio.testing

from service.http.body_room import BodyRoom
from service.http.errors import ApiError
from tests.fakes.front import FakeFront, Script, settings
from tests.service.http.serving import exchange, get, post, served


def question(size: int) -> bytes:
    """One whose body has this size."""
    body = json.dumps({"model": "demo", "prompt": "", "stream": False}).encode()
    return post("/api/generate", body[:-1] + b" " * (size - len(body)) + b"}")


async def test_a_body_for_which_there_is_no_room_is_refused_and_one_later_is_not() -> None:
    front = FakeFront(settings(bodies_bytes_max=1000))
    front.script = Script(hold=trio.Event())
    async with served(front) as address:
        host, _, port = address.rpartition(":")
        async with await trio.open_tcp_stream(host, int(port)) as stream:
            await stream.send_all(question(800))
            await front.asked.wait()
            answer = await exchange(address, question(300))
            assert answer.startswith(b"HTTP/1.1 503 ")
            assert b"retry-after: 5" in answer.lower()
            assert b"take the 1000 B that there are for all (setting bodies_max)" in answer
        await front.left.wait()
        front.script = Script()
        while (answer := await exchange(address, question(800))).startswith(b"HTTP/1.1 503 "):
            pass  # until the server is done with the one that left
        assert answer.startswith(b"HTTP/1.1 200 ")


async def test_what_is_refused_takes_no_room() -> None:
    front = FakeFront(settings(bodies_bytes_max=1000))
    async with served(front) as address:
        for _ in range(3):
            assert (await exchange(address, question(1001))).startswith(b"HTTP/1.1 503 ")
        assert (await exchange(address, question(1000))).startswith(b"HTTP/1.1 200 ")


async def test_what_is_too_large_takes_no_room_from_others_while_its_request_goes_on() -> None:
    """A follower's body is read by nobody, and its answer ends with the follower only."""
    async with served(FakeFront(settings(bodies_bytes_max=3000, body_bytes_max=2000))) as address:
        host, _, port = address.rpartition(":")
        async with await trio.open_tcp_stream(host, int(port)) as follower:
            await follower.send_all(get("/debug/events?follow=1", "Transfer-Encoding: chunked"))
            assert b" 200 " in await follower.receive_some()
            for _ in range(4):
                await follower.send_all(b"3e8\r\n" + b"x" * 1000 + b"\r\n")
                await trio.testing.wait_all_tasks_blocked()
            assert (await exchange(address, question(2000))).startswith(b"HTTP/1.1 200 ")


def test_room_is_taken_and_given_back() -> None:
    room = BodyRoom(10)
    room.take(6)
    with pytest.raises(ApiError):
        room.take(5)
    room.take(4)
    room.give_back(6)
    room.take(6)
