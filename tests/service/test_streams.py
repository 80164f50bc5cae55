"""The channel of one lease: order, joining, what counts as sent, stalls and losses."""

import pytest
import trio
import trio.testing

from service import streams
from service.streams import LeaseStream, Loss
from statemachines.units import LeaseId
from statemachines.wire.messages import Delta, EndReason, LeaseEnded, Usage
from tests.fakes.clock import HandClock

LEASE = LeaseId(7)
STALL_NS = 100
ENDED = LeaseEnded(LEASE, EndReason.STOP, Usage(output_tokens=3))


class Bench:
    def __init__(self) -> None:
        self.clock = HandClock()
        self.stalled: list[LeaseId] = []
        self.stream = LeaseStream(LEASE, clock=self.clock, stall_ns=STALL_NS, on_stall=self.stalled.append)

    def feed(self, *texts: str) -> None:
        for text in texts:
            self.stream.feed(Delta(LEASE, text))


@pytest.fixture
def bench() -> Bench:
    return Bench()


async def test_pieces_that_nobody_took_are_joined_and_their_tokens_added(bench: Bench) -> None:
    bench.feed("one", " two", " three")

    assert await bench.stream.take(counts_as_sent=True) == Delta(LEASE, "one two three", 3)


async def test_a_step_without_text_wakes_nobody_and_its_token_counts_with_the_next_text(bench: Bench) -> None:
    taken: list[object] = []

    async def take() -> None:
        taken.append(await bench.stream.take(counts_as_sent=True))

    async with trio.open_nursery() as nursery:
        nursery.start_soon(take)
        await trio.testing.wait_all_tasks_blocked()
        bench.feed("")
        await trio.testing.wait_all_tasks_blocked()
        assert taken == []
        bench.feed("é")

    assert taken == [Delta(LEASE, "é", 2)]


async def test_the_end_comes_after_all_text_and_as_often_as_asked_for(bench: Bench) -> None:
    bench.feed("text")
    bench.stream.end(ENDED)

    assert await bench.stream.take(counts_as_sent=True) == Delta(LEASE, "text")
    assert await bench.stream.take(counts_as_sent=True) == ENDED
    assert await bench.stream.take(counts_as_sent=True) == ENDED


async def test_text_held_back_for_a_stop_string_is_the_end_of_the_answer_and_is_told_once(bench: Bench) -> None:
    bench.feed("almost")
    bench.stream.end(LeaseEnded(LEASE, EndReason.LENGTH, rest=" stop"))

    assert await bench.stream.take(counts_as_sent=True) == Delta(LEASE, "almost stop", 1)
    assert await bench.stream.take(counts_as_sent=True) == LeaseEnded(LEASE, EndReason.LENGTH)


async def test_taking_a_piece_to_send_it_counts_as_sent_in_the_same_moment(bench: Bench) -> None:
    bench.feed("text")
    assert not bench.stream.sent

    await bench.stream.take(counts_as_sent=True)

    assert bench.stream.sent


async def test_a_handler_that_is_cancelled_takes_nothing_even_if_something_is_there(bench: Bench) -> None:
    bench.feed("text")
    with trio.CancelScope() as scope:
        scope.cancel()
        await bench.stream.take(counts_as_sent=True)

    assert scope.cancelled_caught
    assert not bench.stream.sent
    assert await bench.stream.take(counts_as_sent=True) == Delta(LEASE, "text")


async def test_collecting_does_not_count_as_sent(bench: Bench) -> None:
    bench.feed("text")

    await bench.stream.take(counts_as_sent=False)

    assert not bench.stream.sent


async def test_a_loss_before_anything_was_sent_leaves_nothing_of_the_first_try(bench: Bench) -> None:
    bench.feed("half an ans")
    bench.stream.lose()

    assert await bench.stream.take(counts_as_sent=True) is Loss.LOST
    assert not bench.stream.sent


async def test_a_loss_after_something_was_sent_still_delivers_what_had_come(bench: Bench) -> None:
    bench.feed("first")
    await bench.stream.take(counts_as_sent=True)
    bench.feed(" second")
    bench.stream.lose()

    assert await bench.stream.take(counts_as_sent=True) == Delta(LEASE, " second")
    assert await bench.stream.take(counts_as_sent=True) is Loss.LOST


async def test_only_the_first_end_counts_and_nothing_is_fed_after_it(bench: Bench) -> None:
    bench.stream.end(ENDED)
    bench.stream.lose()
    bench.stream.end(LeaseEnded(LEASE, EndReason.LENGTH))
    bench.feed("late")

    assert await bench.stream.take(counts_as_sent=True) == ENDED


def test_a_client_that_takes_nothing_for_the_limit_is_cut_off_once(bench: Bench) -> None:
    bench.feed("a")
    bench.clock.now = STALL_NS
    bench.feed("b")
    assert bench.stalled == []

    bench.clock.now = STALL_NS + 1
    bench.feed("c", "d")

    assert bench.stalled == [LEASE]


async def test_a_slow_client_that_takes_something_now_and_then_is_never_cut_off(bench: Bench) -> None:
    for _ in range(5):
        bench.feed("text")
        bench.clock.now += STALL_NS
        await bench.stream.take(counts_as_sent=True)

    assert bench.stalled == []


def test_a_runner_that_says_nothing_for_long_is_not_the_clients_stall(bench: Bench) -> None:
    bench.clock.now = 100 * STALL_NS
    bench.feed("at last")

    assert bench.stalled == []


async def test_what_comes_after_a_stall_is_dropped_and_the_loss_is_still_told(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(streams, "ANSWER_BYTES_MAX", 10)
    bench.feed("first")
    await bench.stream.take(counts_as_sent=True)
    bench.feed("0123456789", "x", *["more"] * 1000)
    bench.stream.lose()

    assert await bench.stream.take(counts_as_sent=True) == Delta(LEASE, "0123456789x", 2)
    assert await bench.stream.take(counts_as_sent=True) is Loss.LOST


def test_more_text_than_may_wait_is_a_stall_whatever_the_time(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(streams, "ANSWER_BYTES_MAX", 10)

    bench.feed("0123456789", "x", "y")

    assert bench.stalled == [LEASE]
