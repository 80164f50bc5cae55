"""GET /debug/events?follow=1: for as long as somebody follows."""

import socket

import pytest
import trio
from trio.testing import MockClock, wait_all_tasks_blocked

from service.http.operators.events import QUIET_S
from tests.fakes.front import FakeFront
from tests.fakes.lookout import JOURNAL_STEPS, lookout_of
from tests.service.http.operators.following import following, write
from tests.service.http.serving import exchange, get, served


async def test_a_follower_gets_the_latest_steps_and_then_each_as_it_comes(front: FakeFront) -> None:
    lookout = lookout_of(front)
    write(lookout, 2, 5)
    async with served(front, lookout) as address, following(address, "&limit=2") as client:
        frame = await client.frame()
        assert (frame["id"], frame["event"]) == (f"{lookout.start}-5", "step")
        assert frame["data"]["id"] == frame["id"]
        assert await client.requests(1) == [6]
        for number in (7, 8):
            write(lookout, number)
            assert await client.requests(1) == [number]


async def test_a_follower_that_comes_back_misses_nothing(front: FakeFront) -> None:
    lookout = lookout_of(front)
    write(lookout, 2, 5)
    async with served(front, lookout) as address:
        async with following(address, "&limit=1") as client:
            last_id = (await client.frame())["id"]
        write(lookout, 7, 300)
        async with following(address, "&limit=1", Last_Event_ID=last_id) as client:
            assert await client.requests(300) == list(range(7, 307))


async def test_a_follower_that_comes_back_too_late_is_told_what_it_missed(front: FakeFront) -> None:
    lookout = lookout_of(front)
    write(lookout, 2, JOURNAL_STEPS + 9)
    last_id = f"{lookout.start}-4"
    async with served(front, lookout) as address, following(address, Last_Event_ID=last_id) as client:
        assert await client.frame() == {"event": "missed", "data": {"steps": 6}}
        assert await client.requests(2) == [11, 12]


@pytest.mark.parametrize("last_id", ["0000-4", "nonsense", "-", "4", "{start}-" + "9" * 5000, "{start}-x"])
async def test_a_follower_of_an_earlier_start_begins_with_all_there_is(front: FakeFront, last_id: str) -> None:
    lookout = lookout_of(front)
    write(lookout, 2, 2)
    async with (
        served(front, lookout) as address,
        following(address, Last_Event_ID=last_id.format(start=lookout.start)) as client,
    ):
        assert await client.frame() == {"event": "missed", "data": {"steps": None}}
        assert (await client.frame())["data"]["event"]["event"] == "ServiceOpened"
        assert await client.requests(2) == [2, 3]


async def test_a_follower_sees_only_what_it_wants(front: FakeFront) -> None:
    lookout = lookout_of(front)
    async with served(front, lookout) as address, following(address, "&request=5") as client:
        write(lookout, 2, 400)
        assert await client.requests(1) == [5]


async def test_a_follower_that_reads_nothing_holds_up_nobody_and_is_told_what_it_missed(front: FakeFront) -> None:
    lookout = lookout_of(front)
    async with served(front, lookout) as address:
        host, _, port = address.rpartition(":")
        sock = trio.socket.socket()
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        await sock.connect((host, int(port)))
        async with trio.SocketStream(sock) as slow:
            await slow.send_all(get("/debug/events?follow=1&limit=1"))
            await slow.receive_some(1)
            for first in range(2, 60_002, 2000):
                write(lookout, first, 2000)
                async with following(address, "&limit=1") as quick:
                    assert await quick.requests(1) == [first + 1999]
                while lookout.followers > 1:
                    await trio.lowlevel.checkpoint()
            lookout.journal.close()
            received = b"".join([data async for data in slow])
    assert b"event: missed" in received
    assert b'"request":60001' in received


async def test_as_many_follow_as_may_and_one_that_leaves_makes_room(front: FakeFront) -> None:
    lookout = lookout_of(front)
    async with served(front, lookout) as address:
        async with following(address), following(address):
            answer = await exchange(address, get("/debug/events?follow=1"))
            assert answer.startswith(b"HTTP/1.1 503")
            assert b"retry-after: 60" in answer.lower()
            assert (await exchange(address, get("/debug/events"))).startswith(b"HTTP/1.1 200")
        while lookout.followers:
            await trio.lowlevel.checkpoint()
        async with following(address):
            assert lookout.followers == 1


async def test_followers_that_leave_in_the_middle_of_a_piece_are_no_error(
    front: FakeFront, capsys: pytest.CaptureFixture[str]
) -> None:
    lookout = lookout_of(front)
    async with served(front, lookout) as address:
        for first in range(2, 6002, 300):
            write(lookout, first, 300)
            async with following(address, "&limit=300") as client:
                await client.frame()
                write(lookout, first)
    assert capsys.readouterr().err == ""


async def test_followers_are_let_go_when_the_service_ends(front: FakeFront) -> None:
    lookout = lookout_of(front)
    async with served(front, lookout) as address, following(address) as client:
        await client.frame()
        lookout.journal.close()
        assert await client.frame() == {}


@pytest.mark.parametrize("others", [0, 2])
async def test_a_follower_hears_that_it_is_still_followed_whatever_happens_to_others(
    front: FakeFront, mock_clock: MockClock, others: int
) -> None:
    lookout = lookout_of(front)
    async with served(front, lookout) as address, following(address, "&request=99") as client:
        for _ in range(2):
            await wait_all_tasks_blocked()
            write(lookout, 2, others)
            await wait_all_tasks_blocked()
            mock_clock.jump(QUIET_S / 2)
        await wait_all_tasks_blocked()
        lookout.journal.close()
        assert await client.block(b"\n\n") == b": still here"
        assert await client.block(b"\n\n") == b""
