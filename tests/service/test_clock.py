"""The real clock and the fake ones keep one promise."""

import math

import pytest
import trio
from trio.testing import MockClock

from service.clock import SystemClock
from service.ports import Clock
from statemachines.units import NS_PER_S
from tests.fakes.clock import HandClock, TrioClock


async def test_nothing_due_never_comes_and_what_is_past_is_due_now() -> None:
    clocks: tuple[Clock, ...] = (SystemClock(), TrioClock(), HandClock(5))
    for clock in clocks:
        assert clock.deadline(None) == math.inf
        assert clock.deadline(clock.now_ns() - 1) <= trio.current_time()


async def test_a_moment_in_the_future_is_that_far_away() -> None:
    for clock in (SystemClock(), TrioClock()):
        away_s = clock.deadline(clock.now_ns() + 100 * NS_PER_S) - trio.current_time()
        assert away_s == pytest.approx(100, abs=50)


async def test_virtual_time_moves_the_fake(autojump_clock: MockClock) -> None:
    clock = TrioClock()
    with trio.move_on_at(clock.deadline(3 * NS_PER_S)):
        await trio.sleep_forever()

    assert clock.now_ns() >= 3 * NS_PER_S
    assert clock.wall_ns() > clock.now_ns()
