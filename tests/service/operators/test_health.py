"""The service is fit to serve when its reactor has answered in time, and the core takes requests."""

import pytest
import trio
from trio.testing import MockClock

from service.operators.health import Health
from service.reactor import Reactor
from statemachines.effects import AnyEffect
from statemachines.errors import Refusal, RefusalCode
from statemachines.events import AnyEvent, ServiceOpened, ShutdownOrdered
from statemachines.limits import Limits
from statemachines.scheduler import Scheduler
from statemachines.units import NS_PER_S
from tests.fakes.clock import TrioClock
from tests.fakes.journal import ListJournal


class LeapingClock(TrioClock):
    """Virtual time, and what a step of the core takes of it."""

    def __init__(self) -> None:
        super().__init__()
        self.leap_ns = 0

    def now_ns(self) -> int:
        return super().now_ns() + self.leap_ns


class Bench:
    """A reactor, not yet running, and its health."""

    def __init__(self) -> None:
        self.clock = LeapingClock()
        self.core = Scheduler(Limits(), strict=True)
        self.reactor = Reactor(self.core, clock=self.clock, journal=ListJournal())
        self.health = Health(ask=self.reactor.ask, closed=self.core.closed, clock=self.clock, limit_ns=NS_PER_S)

    async def run(self) -> None:
        await self.reactor.run(lambda _effect: None)

    def open(self, nursery: trio.Nursery) -> None:
        self.reactor.post(ServiceOpened())
        nursery.start_soon(self.run)


async def test_an_open_service_is_fit(nursery: trio.Nursery) -> None:
    bench = Bench()
    bench.open(nursery)
    assert await bench.health.refusal() is None


async def test_one_that_is_starting_or_stopping_is_not_and_says_when_to_come_back(nursery: trio.Nursery) -> None:
    bench = Bench()
    nursery.start_soon(bench.run)
    starting = await bench.health.refusal()
    bench.reactor.post(ServiceOpened())
    bench.reactor.post(ShutdownOrdered())
    stopping = await bench.health.refusal()
    assert starting is not None
    assert stopping is not None
    assert (starting.code, starting.retry_hint_s) == (RefusalCode.NOT_READY, 1)
    assert stopping.code is RefusalCode.DRAINING


async def test_a_reactor_that_does_not_answer_is_noticed_when_the_limit_is_over(autojump_clock: MockClock) -> None:
    bench = Bench()
    refusal = await bench.health.refusal()
    assert refusal == Refusal(
        RefusalCode.NOT_READY,
        "the server's scheduler has not answered within 1 s (setting health_s); it is overloaded or stuck",
    )
    assert trio.current_time() == 1


async def test_who_asks_while_it_is_overdue_is_not_kept_waiting(autojump_clock: MockClock) -> None:
    bench = Bench()
    await bench.health.refusal()
    assert await bench.health.refusal() is not None
    assert trio.current_time() == 1


async def test_however_many_ask_one_probe_stands_in_line(nursery: trio.Nursery) -> None:
    bench = Bench()
    answers: list[Refusal | None] = []

    async def ask() -> None:
        answers.append(await bench.health.refusal())

    for _ in range(100):
        nursery.start_soon(ask)
    await trio.testing.wait_all_tasks_blocked()
    assert bench.reactor.inbox_len == 1
    bench.open(nursery)
    await trio.testing.wait_all_tasks_blocked()
    assert len(answers) == 100


async def test_an_answer_that_came_late_is_no_answer_and_the_next_one_may_be(
    nursery: trio.Nursery, monkeypatch: pytest.MonkeyPatch
) -> None:
    bench = Bench()
    bench.open(nursery)
    handle = bench.core.handle

    def handle_slowly(event: AnyEvent) -> tuple[AnyEffect, ...]:
        bench.clock.leap_ns += 2 * NS_PER_S
        return handle(event)

    monkeypatch.setattr(bench.core, "handle", handle_slowly)
    bench.reactor.post(ServiceOpened())
    assert await bench.health.refusal() is not None
    assert await bench.health.refusal() is None


async def test_a_client_that_leaves_leaves_its_probe_to_the_next_one(nursery: trio.Nursery) -> None:
    bench = Bench()
    with trio.move_on_after(0):
        await bench.health.refusal()
    bench.open(nursery)
    assert await bench.health.refusal() is None
    assert bench.reactor.inbox_len == 0
