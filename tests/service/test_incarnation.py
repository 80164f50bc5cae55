"""One runner's task: its closing event on every path, and what it passes on."""

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

import pytest
import trio
import trio.testing
from trio.testing import MockClock

from service.incarnation import Incarnation, Surroundings
from service.logs import make_log
from service.streams import LeaseStream, Loss
from statemachines import events
from statemachines.effects import SpawnRunner
from statemachines.events import AnyEvent, Exit, LeaseOutcome
from statemachines.facts import AllocationReport, DeviceBytes, LoadedFacts, LoadFailure, LoadOptions
from statemachines.units import LeaseId, LoadId, RunnerId
from statemachines.wire import messages as wire
from statemachines.wire.codec import encode
from statemachines.wire.messages import Delta, EndReason, Generate, TextPrompt
from tests.fakes.clock import TrioClock
from tests.fakes.processes import FAKE_FD, FakeProcess, FakeProcesses
from tests.fakes.store import stored
from tests.service.shell import LogLines, settings

RUNNER, LEASE = RunnerId(3), LeaseId(5)
MODEL = stored("a")
ORDER = SpawnRunner(RUNNER, LoadId(1), MODEL.key, "a:latest", LoadOptions(128), threads=1)
READY = wire.Ready(LoadedFacts(128, 1), AllocationReport((DeviceBytes("host", weight_bytes=7),)), 64, 1)
EXITED = Exit(0, False, "last words")


class Bench:
    """An incarnation with a process in the test's hands."""

    def __init__(self, **changes: Any) -> None:
        self.log = LogLines()
        self.posted: list[AnyEvent] = []
        self.processes = FakeProcesses()
        around = Surroundings(
            self.processes,
            self.posted.append,
            lambda event: self.posted.insert(0, event),
            TrioClock(),
            settings(**changes),
            make_log(log_format="json", level="debug", stream=self.log),
        )
        self.incarnation = Incarnation(ORDER, MODEL, around)

    def kinds(self) -> list[type]:
        return [type(event) for event in self.posted]

    @asynccontextmanager
    async def ready(self) -> AsyncIterator[FakeProcess]:
        """A process that has loaded, with nothing posted so far; it has ended when the context has."""
        async with trio.open_nursery() as nursery:
            nursery.start_soon(self.incarnation.run)
            process = await self.processes.spawned()
            process.greet()
            assert isinstance(await process.hear(), wire.Hello)
            assert isinstance(await process.hear(), wire.Load)
            process.say(READY)
            await trio.testing.wait_all_tasks_blocked()
            self.posted.clear()
            yield process

    def ask(self, lease: LeaseId = LEASE) -> LeaseStream:
        stream = self.incarnation.leases.open(lease)
        self.incarnation.leases.ask(Generate(lease, TextPrompt("hi")))
        return stream


@pytest.fixture
async def bench(autojump_clock: MockClock) -> Bench:
    return Bench()


# Loading


async def test_it_greets_asks_for_the_load_and_passes_on_how_it_goes(autojump_clock: MockClock, bench: Bench) -> None:
    async with trio.open_nursery() as nursery:
        nursery.start_soon(bench.incarnation.run)
        process = await bench.processes.spawned()
        assert isinstance(await process.hear(), wire.Hello)
        process.greet()
        assert await process.hear() == wire.Load(MODEL.paths, MODEL.identities, ORDER.options, threads=1)
        process.say(wire.Progress(400_000), READY)
        process.exit()

    assert bench.posted == [
        events.LoadProgressed(runner=RUNNER, done_ppm=400_000),
        events.ModelLoaded(runner=RUNNER, loaded=READY.loaded, report=READY.report),
        events.ProcessExited(runner=RUNNER, exit=EXITED),
    ]
    assert bench.incarnation.loaded == READY.loaded


async def test_the_load_is_not_asked_for_before_the_runner_has_greeted(autojump_clock: MockClock, bench: Bench) -> None:
    async with trio.open_nursery() as nursery:
        nursery.start_soon(bench.incarnation.run)
        process = await bench.processes.spawned()
        await process.hear()
        await trio.testing.wait_all_tasks_blocked()
        assert not process.link.to_runner
        process.exit()


async def test_a_load_that_fails_is_told_before_the_exit(autojump_clock: MockClock, bench: Bench) -> None:
    async with trio.open_nursery() as nursery:
        nursery.start_soon(bench.incarnation.run)
        process = await bench.processes.spawned()
        process.greet()
        await process.hear()
        await process.hear()
        process.say(wire.LoadFailed(LoadFailure.BAD_FILE, "no tensors"))
        process.exit(1)

    assert bench.posted == [
        events.LoadFailed(runner=RUNNER, kind=LoadFailure.BAD_FILE, message="no tensors"),
        events.ProcessExited(runner=RUNNER, exit=Exit(1, False, "last words")),
    ]


async def test_what_a_runner_says_of_itself_steers_no_terminal(autojump_clock: MockClock, bench: Bench) -> None:
    async with trio.open_nursery() as nursery:
        nursery.start_soon(bench.incarnation.run)
        process = await bench.processes.spawned()
        process.greet("engine\x1b[2J")
        await process.hear()
        await process.hear()
        process.say(wire.LoadFailed(LoadFailure.BAD_FILE, "no\u2028tensors\n"))
        process.exit(1)

    assert bench.log.rows("runner answered")[0]["engine"] == "engine\ufffd[2J"
    assert bench.log.rows("load failed")[0]["reason"] == "no\ufffdtensors\ufffd"
    (failed, _) = bench.posted
    assert isinstance(failed, events.LoadFailed)
    assert failed.message == "no\ufffdtensors\ufffd"


# Closing events


async def test_a_process_that_cannot_be_spawned_is_told_without_the_systems_words(
    autojump_clock: MockClock, bench: Bench
) -> None:
    bench.processes.fault = OSError(12, "Cannot allocate memory", "/secret/path")

    await bench.incarnation.run()

    (event,) = bench.posted
    assert isinstance(event, events.SpawnFailed)
    assert "memory" not in event.message
    assert "/secret" not in event.message
    assert bench.log.rows("the runner could not be started")[0]["reason"] == "Cannot allocate memory"


async def test_b04_out_of_memory_evidence_goes_through(autojump_clock: MockClock, bench: Bench) -> None:
    async with bench.ready() as process:
        process.exit(-9, was_out_of_memory=True)

    assert bench.posted == [events.ProcessExited(runner=RUNNER, exit=Exit(-9, True, "last words"))]


async def test_b04_a_lease_that_is_lost_with_the_memory_says_so(autojump_clock: MockClock, bench: Bench) -> None:
    async with bench.ready() as process:
        bench.ask()
        await process.hear()
        process.exit(-9, was_out_of_memory=True)

    (lost, _) = bench.posted
    assert lost == events.LeaseEnded(runner=RUNNER, lease=LEASE, outcome=LeaseOutcome.OUT_OF_MEMORY, sent=False)


async def test_what_the_runner_said_last_is_heard_before_its_exit_is_told(
    autojump_clock: MockClock, bench: Bench
) -> None:
    async with bench.ready() as process:
        stream = bench.ask()
        await process.hear()
        process.exit()
        process.say(wire.Tokens(1, (Delta(LEASE, "bye"),)), wire.LeaseEnded(LEASE, EndReason.STOP))

    assert bench.posted == [
        events.LeaseEnded(runner=RUNNER, lease=LEASE, outcome=LeaseOutcome.FINISHED, sent=False),
        events.ProcessExited(runner=RUNNER, exit=EXITED),
    ]
    assert await stream.take(counts_as_sent=True) == Delta(LEASE, "bye")


async def test_open_leases_are_lost_before_the_exit_is_told(autojump_clock: MockClock, bench: Bench) -> None:
    async with bench.ready() as process:
        stream = bench.ask()
        await process.hear()
        process.say(wire.Tokens(1, (Delta(LEASE, "seen"),)))
        await stream.take(counts_as_sent=True)
        process.exit(-6)

    assert bench.posted == [
        events.LeaseEnded(runner=RUNNER, lease=LEASE, outcome=LeaseOutcome.CRASHED, sent=True),
        events.ProcessExited(runner=RUNNER, exit=Exit(-6, False, "last words")),
    ]
    assert await stream.take(counts_as_sent=True) is Loss.LOST


async def test_a_link_that_ends_just_before_the_process_is_no_lost_link(
    autojump_clock: MockClock, bench: Bench
) -> None:
    async with bench.ready() as process:
        process.close_link()
        await trio.sleep(0.9)
        process.exit()

    assert bench.kinds() == [events.ProcessExited]


@pytest.mark.parametrize("cut_off", [(), (b"\x00\x00\x00",)], ids=["", "in a message"])
async def test_a_link_that_ends_while_the_process_lives_on_is_lost_after_the_limit(
    autojump_clock: MockClock, bench: Bench, cut_off: tuple[bytes, ...]
) -> None:
    async with bench.ready() as process:
        bench.ask()
        await process.hear()
        for piece in cut_off:
            process.say_bytes(piece)
        process.close_link()
        await trio.sleep(0.9)
        assert bench.posted == []
        await trio.sleep(0.2)
        assert bench.kinds() == [events.LinkLost, events.LeaseEnded]
        process.exit(-9)

    assert bench.kinds() == [events.LinkLost, events.LeaseEnded, events.ProcessExited]


async def test_a_broken_protocol_is_a_lost_link_at_once(autojump_clock: MockClock, bench: Bench) -> None:
    async with bench.ready() as process:
        process.say_bytes(b"\xff" * 10)
        await trio.testing.wait_all_tasks_blocked(0.01)
        assert bench.kinds() == [events.LinkLost]
        bench.incarnation.kill()

    assert bench.kinds() == [events.LinkLost, events.ProcessExited]


async def test_a_stranger_who_holds_the_link_open_does_not_hold_up_the_exit(
    autojump_clock: MockClock, bench: Bench
) -> None:
    async with bench.ready() as process:
        process.exit(leaves_link_open=True)

    assert bench.kinds() == [events.ProcessExited]


async def test_a_runner_that_is_cut_off_in_a_message_just_exited(autojump_clock: MockClock, bench: Bench) -> None:
    async with bench.ready() as process:
        process.say_bytes(b"\x00\x00\x00")
        process.exit(-11)

    assert bench.posted == [events.ProcessExited(runner=RUNNER, exit=Exit(-11, False, "last words"))]


async def test_b04_a_runner_that_is_killed_for_memory_in_the_middle_of_a_message_ran_out_of_it(
    autojump_clock: MockClock, bench: Bench
) -> None:
    async with bench.ready() as process:
        process.say_bytes(b"\x00\x00\x00")
        process.close_link()
        await trio.testing.wait_all_tasks_blocked(0.01)
        process.exit(-9, was_out_of_memory=True)

    assert bench.posted == [events.ProcessExited(runner=RUNNER, exit=Exit(-9, True, "last words"))]


async def test_a_service_that_is_cancelled_still_gets_the_closing_event(
    autojump_clock: MockClock, bench: Bench
) -> None:
    async with trio.open_nursery() as nursery:
        nursery.start_soon(bench.incarnation.run)
        await bench.processes.spawned()
        await trio.testing.wait_all_tasks_blocked(0.01)
        nursery.cancel_scope.cancel()

    assert bench.kinds() == [events.ProcessExited]


async def test_a_service_that_is_cancelled_during_the_spawn_gets_one_too(
    autojump_clock: MockClock, bench: Bench
) -> None:
    bench.processes.gate = trio.Event()
    async with trio.open_nursery() as nursery:
        nursery.start_soon(bench.incarnation.run)
        await trio.testing.wait_all_tasks_blocked(0.01)
        nursery.cancel_scope.cancel()

    assert bench.kinds() == [events.SpawnFailed]


# Orders


@pytest.mark.parametrize(
    ("order", "signal"), [(Incarnation.terminate, "term"), (Incarnation.kill, "kill")], ids=["terminate", "kill"]
)
async def test_an_order_during_the_spawn_is_carried_out_when_the_process_is_there(
    autojump_clock: MockClock, bench: Bench, order: Callable[[Incarnation], None], signal: str
) -> None:
    bench.processes.gate = trio.Event()
    async with trio.open_nursery() as nursery:
        nursery.start_soon(bench.incarnation.run)
        await trio.testing.wait_all_tasks_blocked(0.01)
        order(bench.incarnation)
        bench.processes.gate.set()
        process = await bench.processes.spawned()

    assert process.signals == [signal]
    assert bench.kinds() == [events.ProcessExited]


async def test_terminate_says_shutdown_and_signals(autojump_clock: MockClock, bench: Bench) -> None:
    async with bench.ready() as process:
        process.obeys_term = False
        bench.incarnation.terminate()
        assert await process.hear() == wire.Shutdown()
        assert process.signals == ["term"]
        process.exit()


async def test_orders_to_a_process_that_is_gone_do_nothing(autojump_clock: MockClock, bench: Bench) -> None:
    async with bench.ready() as process:
        process.exit()
    bench.incarnation.kill()
    bench.incarnation.terminate()
    bench.incarnation.set_threads(2)

    assert process.signals == []


async def test_threads_are_set_and_acknowledged(autojump_clock: MockClock, bench: Bench) -> None:
    async with bench.ready() as process:
        bench.incarnation.set_threads(2)
        assert await process.hear() == wire.SetThreads(2)
        process.say(wire.ThreadsSet(2))
        process.exit()

    assert bench.posted[0] == events.ThreadsChanged(runner=RUNNER, threads=2)


async def test_beats_are_passed_on(autojump_clock: MockClock, bench: Bench) -> None:
    async with bench.ready() as process:
        process.say(wire.Beat(4, 100))
        process.exit()

    assert bench.posted[0] == events.RunnerBeat(runner=RUNNER, step=4, progress=100)


async def test_of_the_beats_that_come_at_once_the_last_is_passed_on_in_its_place(
    autojump_clock: MockClock, bench: Bench
) -> None:
    async with bench.ready() as process:
        bench.ask()
        await process.hear()
        end = wire.LeaseEnded(LEASE, EndReason.STOP)
        flood = [*(wire.Beat(1, count) for count in range(1000)), end, wire.Beat(2, 1000), wire.Beat(2, 1001)]
        process.say_bytes(b"".join(map(encode, flood)))
        await trio.testing.wait_all_tasks_blocked(0.01)
        process.exit()

    assert bench.posted == [
        events.LeaseEnded(runner=RUNNER, lease=LEASE, outcome=LeaseOutcome.FINISHED, sent=False),
        events.RunnerBeat(runner=RUNNER, step=2, progress=1001),
        events.ProcessExited(runner=RUNNER, exit=EXITED),
    ]


async def test_of_the_progress_that_comes_at_once_the_last_is_passed_on_before_what_follows(
    autojump_clock: MockClock, bench: Bench
) -> None:
    async with trio.open_nursery() as nursery:
        nursery.start_soon(bench.incarnation.run)
        process = await bench.processes.spawned()
        process.greet()
        await process.hear()
        await process.hear()
        process.say_bytes(b"".join(map(encode, [wire.Progress(1), wire.Progress(2), wire.Progress(3), READY])))
        await trio.testing.wait_all_tasks_blocked(0.01)
        process.exit()

    assert bench.posted == [
        events.LoadProgressed(runner=RUNNER, done_ppm=3),
        events.ModelLoaded(runner=RUNNER, loaded=READY.loaded, report=READY.report),
        events.ProcessExited(runner=RUNNER, exit=EXITED),
    ]


# Leases


async def test_a_cancelled_lease_ends_by_the_runners_word(autojump_clock: MockClock, bench: Bench) -> None:
    async with bench.ready() as process:
        bench.ask()
        assert isinstance(await process.hear(), Generate)
        bench.incarnation.leases.cancel(LEASE)
        assert await process.hear() == wire.Cancel(LEASE)
        assert bench.posted == []
        process.say(wire.LeaseEnded(LEASE, EndReason.CANCELLED))
        process.exit()

    assert bench.posted[0] == events.LeaseEnded(runner=RUNNER, lease=LEASE, outcome=LeaseOutcome.CANCELLED, sent=False)


async def test_a_lease_that_nobody_had_cancelled_is_lost_as_in_a_crash(autojump_clock: MockClock, bench: Bench) -> None:
    async with bench.ready() as process:
        bench.ask()
        assert isinstance(await process.hear(), Generate)
        process.hear_sigterm()
        process.say(wire.LeaseEnded(LEASE, EndReason.CANCELLED))
        process.exit()

    assert bench.posted[0] == events.LeaseEnded(runner=RUNNER, lease=LEASE, outcome=LeaseOutcome.CRASHED, sent=False)


async def test_a_lease_of_which_the_runner_never_knew_ends_here(autojump_clock: MockClock, bench: Bench) -> None:
    async with bench.ready() as process:
        bench.incarnation.leases.open(LEASE)
        bench.incarnation.leases.cancel(LEASE)
        await trio.testing.wait_all_tasks_blocked(0.01)
        assert not process.link.to_runner
        assert bench.kinds() == [events.LeaseEnded]
        process.exit()


async def test_asking_on_a_lease_that_was_cancelled_meanwhile_reaches_nobody(
    autojump_clock: MockClock, bench: Bench
) -> None:
    async with bench.ready() as process:
        stream = bench.incarnation.leases.open(LEASE)
        bench.incarnation.leases.cancel(LEASE)
        bench.incarnation.leases.ask(Generate(LEASE, TextPrompt("hi")))
        await trio.testing.wait_all_tasks_blocked(0.01)
        assert not process.link.to_runner
        process.exit()

    assert await stream.take(counts_as_sent=True) is Loss.LOST


async def test_a_cancel_that_crosses_the_end_is_answered_and_changes_nothing(
    autojump_clock: MockClock, bench: Bench
) -> None:
    async with bench.ready() as process:
        bench.ask()
        await process.hear()
        bench.incarnation.leases.cancel(LEASE)
        bench.incarnation.leases.cancel(LEASE)
        process.say(wire.LeaseEnded(LEASE, EndReason.STOP))
        assert await process.hear() == wire.Cancel(LEASE)
        process.say(wire.LeaseEnded(LEASE, EndReason.CANCELLED))
        process.exit()

    assert bench.kinds() == [events.LeaseEnded, events.ProcessExited]


async def test_a_client_that_reads_nothing_loses_its_lease_and_nobody_elses(
    autojump_clock: MockClock,
) -> None:
    bench = Bench(client_stall_ns=10)
    other = LeaseId(6)
    async with bench.ready() as process:
        bench.ask()
        reading = bench.ask(other)
        await process.hear()
        await process.hear()
        for step in range(3):
            process.say(wire.Tokens(step, (Delta(LEASE, "x"), Delta(other, "y"))))
            assert await reading.take(counts_as_sent=True) == Delta(other, "y")
            await trio.sleep(1)
        assert await process.hear() == wire.Cancel(LEASE)
        assert process.signals == []
        process.exit()


async def test_an_answer_that_ends_before_its_cancel_is_obeyed_is_not_told_as_whole_when_text_was_dropped(
    autojump_clock: MockClock,
) -> None:
    bench = Bench(client_stall_ns=10)
    async with bench.ready() as process:
        stream = bench.ask()
        await process.hear()
        for step in range(3):
            process.say(wire.Tokens(step, (Delta(LEASE, "x"),)))
            await trio.sleep(1)
        process.say(wire.LeaseEnded(LEASE, EndReason.STOP))
        process.exit()

    assert bench.posted[0] == events.LeaseEnded(runner=RUNNER, lease=LEASE, outcome=LeaseOutcome.CANCELLED, sent=False)
    assert await stream.take(counts_as_sent=True) is Loss.LOST


async def test_a_lease_that_is_granted_on_a_runner_that_is_gone_ends_before_anything_else(
    autojump_clock: MockClock, bench: Bench
) -> None:
    async with bench.ready() as process:
        process.exit()

    stream = bench.incarnation.leases.open(LEASE)

    assert bench.posted[0] == events.LeaseEnded(runner=RUNNER, lease=LEASE, outcome=LeaseOutcome.CRASHED, sent=False)
    assert await stream.take(counts_as_sent=True) is Loss.LOST


# Log lines (B06, B12)


async def test_b12_before_it_answers_its_status_reads_not_responding(autojump_clock: MockClock, bench: Bench) -> None:
    async with bench.ready() as process:
        process.exit()

    started, answered, loaded = (bench.log.rows(e)[0] for e in ("runner started", "runner answered", "model loaded"))
    assert (started["status"], started["phase"], started["fd"]) == ("not responding", "spawn", FAKE_FD)
    assert (answered["status"], answered["phase"]) == ("loading model", "hello")
    assert (loaded["status"], loaded["phase"], loaded["devices"]) == ("ok", "load", {"host": "7 B"})
    assert all(row["pid"] == process.pid and row["elapsed_ms"] >= 0 for row in (started, answered, loaded))


async def test_b06_every_line_about_a_runner_says_which_one(autojump_clock: MockClock, bench: Bench) -> None:
    async with bench.ready() as process:
        process.on_line("some native words")
        process.say(wire.Beat(1, 1))
        process.exit()

    assert all({"runner", "pid", "model", "state", "status"} <= row.keys() for row in bench.log.rows())
    assert bench.log.rows("engine says")[0] | {"runner": 3, "model": "a:latest"} == bench.log.rows("engine says")[0]


async def test_b06_a_runner_that_goes_because_it_was_told_to_is_no_error(
    autojump_clock: MockClock, bench: Bench
) -> None:
    async with bench.ready():
        bench.incarnation.terminate()

    assert {row["level"] for row in bench.log.rows()} <= {"debug", "info"}


async def test_a_runner_that_ends_by_itself_is_an_error_with_its_last_words(
    autojump_clock: MockClock, bench: Bench
) -> None:
    async with bench.ready() as process:
        process.exit(-6)

    (row,) = bench.log.rows("runner ended by itself")
    assert (row["level"], row["exit"], row["stderr"]) == ("error", -6, "last words")
