"""Readers of the journal own a number and nothing else."""

import pytest
import trio
import trio.testing

from service.journal import RingJournal
from service.operators.interest import Interest
from service.operators.tail import SCAN_STEPS, Missed, Tail
from statemachines.events import RequestArrived, RequestFinished
from statemachines.facts import LoadKey, LoadOptions
from statemachines.limits import Limits
from statemachines.units import RequestId
from tests.fakes.clock import HandClock
from tests.fakes.front import NOTHING_LOADED
from tests.fakes.store import SIZES


class Kept:
    """A small journal whose steps are numbered as their requests are."""

    def __init__(self, steps_max: int) -> None:
        self.journal = RingJournal(
            version="0", limits=Limits(), clock=HandClock(), folder=lambda: None, steps_max=steps_max
        )

    def write(self, count: int) -> None:
        for _ in range(count):
            self.journal.write(RequestFinished(request=RequestId(self.journal.written + 1)), ())

    def tail(self, *ids: int) -> Tail:
        interest = Interest(("request", number) for number in ids)
        return Tail(self.journal, interest, lambda: NOTHING_LOADED)


def numbers(found: list) -> list[int]:
    assert all(one.number == one.entry.event.request for one in found)
    return [one.number for one in found]


@pytest.mark.parametrize(("limit", "expected"), [(0, []), (2, [9, 10]), (10**18 - 1, [8, 9, 10])])
async def test_the_latest_steps_are_those_that_the_ring_still_holds(limit: int, expected: list[int]) -> None:
    kept = Kept(steps_max=3)
    kept.write(10)
    assert numbers(await kept.tail().latest(limit)) == expected


async def test_the_latest_steps_of_an_interest_are_looked_for_in_the_whole_ring() -> None:
    kept = Kept(steps_max=3 * SCAN_STEPS)
    kept.write(3 * SCAN_STEPS)
    wanted = [1, SCAN_STEPS, SCAN_STEPS + 1, 3 * SCAN_STEPS]
    assert numbers(await kept.tail(*wanted).latest(3)) == wanted[1:]


async def test_who_scans_a_long_ring_lets_others_in_between() -> None:
    kept = Kept(steps_max=10 * SCAN_STEPS)
    kept.write(10 * SCAN_STEPS)
    turns = 0

    async def count_turns() -> None:
        nonlocal turns
        while True:
            await trio.lowlevel.checkpoint()
            turns += 1

    async with trio.open_nursery() as nursery:
        nursery.start_soon(count_turns)
        await kept.tail(1).latest(5)
        nursery.cancel_scope.cancel()
    assert turns >= 5


async def test_a_reader_goes_on_with_what_comes() -> None:
    kept = Kept(steps_max=10)
    kept.write(2)
    tail = kept.tail()
    await tail.latest(1)
    assert (tail.take(), tail.is_at_end) == ([], True)
    kept.write(2)
    await tail.wait()
    assert numbers(tail.take()) == [3, 4]


async def test_waiting_ends_with_the_next_step_and_with_the_service() -> None:
    kept = Kept(steps_max=10)
    seen: list[int] = []

    async def follow() -> None:
        tail = kept.tail()
        while not tail.is_over:
            await tail.wait()
            seen.extend(numbers(tail.take()))

    async with trio.open_nursery() as nursery:
        for _ in range(2):
            nursery.start_soon(follow)
        await trio.testing.wait_all_tasks_blocked()
        kept.write(1)
        await trio.testing.wait_all_tasks_blocked()
        assert seen == [1, 1]
        kept.journal.close()


async def test_a_slow_reader_is_told_what_it_missed_and_goes_on_with_the_oldest() -> None:
    kept = Kept(steps_max=3)
    tail = kept.tail()
    kept.write(3)
    assert tail.missed() is None
    kept.write(4)
    assert tail.missed() == Missed(4)
    assert numbers(tail.take()) == [5, 6, 7]
    assert tail.missed() is None


async def test_a_reader_that_does_not_ask_what_it_missed_reads_what_is_left() -> None:
    kept = Kept(steps_max=3)
    tail = kept.tail()
    kept.write(7)
    assert numbers(tail.take()) == [5, 6, 7]


@pytest.mark.parametrize(("after", "expected"), [(2, [3, 4]), (4, []), (99, [])])
async def test_a_reader_resumes_behind_the_step_that_it_read_last(after: int, expected: list[int]) -> None:
    kept = Kept(steps_max=10)
    kept.write(4)
    tail = kept.tail()
    await tail.go_on_after(after)
    assert numbers(tail.take()) == expected
    kept.write(1)
    assert numbers(tail.take()) == [5]


async def test_a_reader_that_resumes_knows_whom_the_steps_before_have_named() -> None:
    kept = Kept(steps_max=3 * SCAN_STEPS)
    arrived = RequestArrived(request=RequestId(2), model="a", key=LoadKey("a"), wanted=LoadOptions(64), sizes=SIZES)
    kept.write(1)
    kept.journal.write(arrived, ())
    kept.write(2 * SCAN_STEPS)
    kept.journal.write(RequestFinished(request=RequestId(2)), ())
    tail = Tail(kept.journal, Interest(model="a"), lambda: NOTHING_LOADED)
    await tail.go_on_after(SCAN_STEPS)
    found = []
    while not tail.is_at_end:
        found += tail.take()
    assert [one.number for one in found] == [kept.journal.written]
