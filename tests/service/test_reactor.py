"""The reactor: what order things are done in, and what it does when the core breaks."""

import math
from collections import deque

import pytest
import trio
import trio.testing

from service.reactor import Core, Reactor
from statemachines.effects import AnyEffect, KillRunner, SampleDevices
from statemachines.errors import InternalError
from statemachines.events import AnyEvent, DeadlineReached, RequestFinished, ServiceOpened, ShutdownOrdered
from statemachines.units import NS_PER_S, RequestId, RunnerId
from tests.fakes.clock import HandClock, TrioClock
from tests.fakes.journal import ListJournal


class ScriptedCore:
    """Answers events with effects that were put down beforehand, in order, and has the deadlines that it is given."""

    def __init__(self, *answers: tuple[AnyEffect, ...], deadlines: tuple[int, ...] = ()) -> None:
        self.events: list[AnyEvent] = []
        self._answers = deque(answers)
        self._deadlines = deque(deadlines)

    def handle(self, event: AnyEvent) -> tuple[AnyEffect, ...]:
        self.events.append(event)
        if isinstance(event, DeadlineReached):
            self._deadlines.popleft()
        return self._answers.popleft() if self._answers else ()

    def next_deadline(self) -> int | None:
        return self._deadlines[0] if self._deadlines else None


class Bench:
    """A reactor with everything around it fake."""

    def __init__(self, core: Core, clock: HandClock | TrioClock) -> None:
        self.journal = ListJournal()
        self.performed: list[AnyEffect] = []
        self.reactor = Reactor(core, clock=clock, journal=self.journal)

    async def run(self) -> None:
        await self.reactor.run(self.performed.append)


async def run_until_idle(bench: Bench) -> None:
    async with trio.open_nursery() as nursery:
        nursery.start_soon(bench.run)
        await trio.testing.wait_all_tasks_blocked()
        nursery.cancel_scope.cancel()


async def test_events_are_handled_in_the_order_in_which_they_were_posted_and_stamped_at_dequeue() -> None:
    clock = HandClock(5)
    core = ScriptedCore()
    bench = Bench(core, clock)
    bench.reactor.post(ServiceOpened())
    bench.reactor.post(RequestFinished(request=RequestId(1)))
    clock.now = 7

    await run_until_idle(bench)

    assert core.events == [ServiceOpened(at=7), RequestFinished(at=7, request=RequestId(1))]


async def test_effects_are_performed_in_order_after_the_step_is_written_down() -> None:
    effects = (KillRunner(RunnerId(1)), SampleDevices())
    bench = Bench(ScriptedCore(effects), HandClock())
    written: list[int] = []

    def perform(effect: AnyEffect) -> None:
        written.append(len(bench.journal.steps))
        bench.performed.append(effect)

    bench.reactor.post(ServiceOpened())
    async with trio.open_nursery() as nursery:
        nursery.start_soon(bench.reactor.run, perform)
        await trio.testing.wait_all_tasks_blocked()
        nursery.cancel_scope.cancel()

    assert bench.performed == list(effects)
    assert written == [1, 1]
    assert bench.journal.steps == [(ServiceOpened(), effects)]


async def test_what_an_effect_posts_is_handled_after_what_was_there_before() -> None:
    core = ScriptedCore((SampleDevices(),))
    bench = Bench(core, HandClock())
    first, second, third = (RequestFinished(request=RequestId(number)) for number in (1, 2, 3))

    bench.reactor.post(first)
    bench.reactor.post(second)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(bench.reactor.run, lambda _effect: bench.reactor.post(third))
        await trio.testing.wait_all_tasks_blocked()
        nursery.cancel_scope.cancel()

    assert core.events == [first, second, third]


async def test_what_was_in_the_inbox_when_a_deadline_came_due_is_handled_before_it() -> None:
    clock = HandClock(100)
    core = ScriptedCore(deadlines=(50,))
    bench = Bench(core, clock)
    for number in range(3):
        bench.reactor.post(RequestFinished(request=RequestId(number)))

    await run_until_idle(bench)

    assert [type(event) for event in core.events] == [RequestFinished] * 3 + [DeadlineReached]


async def test_a_deadline_wakes_an_idle_reactor_and_is_never_early(
    autojump_clock: trio.testing.MockClock,
) -> None:
    clock = TrioClock()
    core = ScriptedCore(deadlines=(3 * NS_PER_S, 3 * NS_PER_S, 5 * NS_PER_S))
    bench = Bench(core, clock)

    async with trio.open_nursery() as nursery:
        nursery.start_soon(bench.run)
        await trio.sleep(math.nextafter(5, 6) + 1)
        nursery.cancel_scope.cancel()

    assert [event.at // NS_PER_S for event in core.events] == [3, 3, 5]
    assert all(event.at >= due * NS_PER_S for event, due in zip(core.events, (3, 3, 5), strict=True))


async def test_an_event_that_comes_while_the_reactor_waits_for_a_deadline_wakes_it(
    autojump_clock: trio.testing.MockClock,
) -> None:
    core = ScriptedCore(deadlines=(9 * NS_PER_S,))
    bench = Bench(core, TrioClock())

    async with trio.open_nursery() as nursery:
        nursery.start_soon(bench.run)
        await trio.sleep(2)
        bench.reactor.post(ServiceOpened())
        await trio.sleep(2)
        nursery.cancel_scope.cancel()

    assert core.events == [ServiceOpened(at=2 * NS_PER_S)]


async def test_core_time_never_runs_backwards() -> None:
    clock = HandClock(10)
    core = ScriptedCore()
    bench = Bench(core, clock)

    async with trio.open_nursery() as nursery:
        nursery.start_soon(bench.run)
        bench.reactor.post(ServiceOpened())
        await trio.testing.wait_all_tasks_blocked()
        clock.now = 4
        bench.reactor.post(ShutdownOrdered())
        await trio.testing.wait_all_tasks_blocked()
        nursery.cancel_scope.cancel()

    assert [event.at for event in core.events] == [10, 10]


class BrokenCore(ScriptedCore):
    def handle(self, event: AnyEvent) -> tuple[AnyEffect, ...]:
        super().handle(event)
        raise InternalError("an invariant is broken")


async def test_a_core_that_breaks_ends_the_reactor_with_the_journal_dumped_and_the_last_step_in_it() -> None:
    bench = Bench(BrokenCore(), HandClock())
    bench.reactor.post(ServiceOpened())

    with pytest.raises(InternalError, match=r"ServiceOpened could not be handled.*an invariant is broken"):
        await bench.run()

    assert bench.journal.steps == [(ServiceOpened(), ())]
    assert len(bench.journal.dumps) == 1


async def test_an_effect_that_cannot_be_performed_is_as_fatal_as_a_broken_core() -> None:
    bench = Bench(ScriptedCore((SampleDevices(),)), HandClock())
    bench.reactor.post(ServiceOpened())

    def fail(_effect: AnyEffect) -> None:
        raise KeyError("no such runner")

    with pytest.raises(InternalError, match="no such runner"):
        await bench.reactor.run(fail)

    assert bench.journal.steps == [(ServiceOpened(), (SampleDevices(),))]
    assert len(bench.journal.dumps) == 1


async def test_a_probe_is_answered_in_its_turn_at_its_time_and_is_no_step() -> None:
    clock = HandClock(5)
    core = ScriptedCore()
    bench = Bench(core, clock)
    bench.reactor.post(ServiceOpened())
    probe = bench.reactor.ask()
    bench.reactor.post(RequestFinished(request=RequestId(1)))
    assert (bench.reactor.inbox_len, probe.answered_at) == (3, None)
    clock.now = 7

    await run_until_idle(bench)
    await probe.answered()

    assert (bench.reactor.inbox_len, probe.answered_at) == (0, 7)
    assert len(bench.journal.steps) == len(core.events) == 2


async def test_a_probe_behind_a_step_that_breaks_is_never_answered() -> None:
    class Broken(ScriptedCore):
        def handle(self, event: AnyEvent) -> tuple[AnyEffect, ...]:
            raise ValueError(event)

    bench = Bench(Broken(), HandClock())
    bench.reactor.post(ServiceOpened())
    probe = bench.reactor.ask()
    with pytest.raises(InternalError):
        await bench.run()
    assert probe.answered_at is None


async def test_a_witness_sees_each_step_before_it_is_performed() -> None:
    effects = (SampleDevices(),)
    seen: list[tuple[AnyEvent, tuple[AnyEffect, ...], int]] = []
    bench = Bench(ScriptedCore(effects), HandClock(3))

    def see(event: AnyEvent, answer: tuple[AnyEffect, ...]) -> None:
        seen.append((event, answer, len(bench.performed)))

    bench.reactor = Reactor(ScriptedCore(effects), clock=HandClock(3), journal=bench.journal, witness=see)
    bench.reactor.post(ServiceOpened())
    await run_until_idle(bench)
    assert seen == [(ServiceOpened(at=3), effects, 0)]
    assert bench.performed == [*effects]
