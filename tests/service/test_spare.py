"""The spare with fake processes and virtual time: who gets it, when the next one comes, what is said about it."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from itertools import pairwise

import msgspec
import pytest
import trio
import trio.testing
from trio.testing import MockClock

from service.environment import EnvironmentClass
from service.logs import make_log
from service.spare import Spare, SpareView
from service.spare_process import EXIT_S
from statemachines.limits import Limits
from statemachines.wire.link import Task, runner_link
from statemachines.wire.messages import PROTOCOL_VERSION, Hello, ToService
from tests.fakes.clock import TrioClock
from tests.fakes.processes import SERVE, FakeProcess, FakeProcesses
from tests.fakes.runner_talk import Talk
from tests.service.shell import LogLines

FIRST_GPU = EnvironmentClass(Task.SERVE, variables={"CUDA_VISIBLE_DEVICES": "0"})
PAUSE_S, WARM_S = 1, 30
"""The defaults."""


class Bench:
    """A spare whose processes are in the test's hands."""

    def __init__(self, **limits: int) -> None:
        self.lines = LogLines()
        self.processes = FakeProcesses()
        log = make_log(log_format="json", level="debug", stream=self.lines)
        self.spare = Spare(self.processes, SERVE, limits=Limits(**limits), clock=TrioClock(), log=log)

    def states(self) -> list[str]:
        """What was said about each change, in turn."""
        return [row["event"] for row in self.lines.rows() if row["event"].startswith("spare ")]

    async def importing(self) -> FakeProcess:
        """The next process that is started ahead."""
        process = await self.processes.spawned()
        await settled()
        assert self.spare.view() == SpareView("importing", process.pid)
        return process

    async def warm(self) -> FakeProcess:
        """The next one, once it has greeted."""
        process = await self.importing()
        process.greet()
        await settled()
        assert self.spare.view() == SpareView("warm", process.pid)
        return process

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(self.spare.run)
            yield
            nursery.cancel_scope.cancel()


async def settled() -> None:
    await trio.testing.wait_all_tasks_blocked(0.001)


@pytest.fixture
async def bench(autojump_clock: MockClock) -> AsyncIterator[Bench]:
    bench = Bench()
    async with bench.running():
        yield bench


# Taking


async def test_a_spawn_gets_the_warm_process_and_hears_its_greeting(autojump_clock: MockClock, bench: Bench) -> None:
    process = await bench.warm()
    async with bench.spare.spawn(SERVE) as taken:
        assert taken.pid == process.pid
        talk = Talk(taken, Task.SERVE)
        assert (await talk.greet()).pid == process.pid
        assert isinstance(await process.hear(), Hello)
        assert len(bench.processes.all) == 1
    assert taken.has_ended


async def test_a_greeting_that_came_in_pieces_is_heard_whole(autojump_clock: MockClock, bench: Bench) -> None:
    process = await bench.importing()
    greeting = hello_bytes(process)
    process.say_bytes(greeting[:3])
    await settled()
    async with bench.spare.spawn(SERVE) as taken:
        process.say_bytes(greeting[3:])
        assert (await Talk(taken, Task.SERVE).greet()).pid == process.pid


async def test_one_that_still_imports_is_taken_too_because_it_is_ahead(autojump_clock: MockClock, bench: Bench) -> None:
    process = await bench.importing()
    async with bench.spare.spawn(SERVE) as taken:
        assert taken.pid == process.pid
        process.greet()
        assert (await Talk(taken, Task.SERVE).greet()).pid == process.pid
        assert bench.spare.view() == SpareView("none")


async def test_each_serves_one_and_the_second_spawn_gets_a_fresh_process(
    autojump_clock: MockClock, bench: Bench
) -> None:
    process = await bench.warm()
    async with bench.spare.spawn(SERVE) as first, bench.spare.spawn(SERVE) as second:
        assert first.pid == process.pid
        assert second.pid not in (process.pid, None)


async def test_what_it_prints_is_logged_as_the_spare_s_and_then_as_the_taker_s(
    autojump_clock: MockClock, bench: Bench
) -> None:
    lines: list[str] = []
    process = await bench.warm()
    process.on_line("before")
    async with bench.spare.spawn(SERVE, on_line=lines.append):
        process.on_line("after")
    (row,) = bench.lines.rows("engine says")
    assert (row["text"], row["spare"], row["pid"]) == ("before", True, process.pid)
    assert lines == ["after"]


async def test_one_that_is_still_being_started_is_taken_too(autojump_clock: MockClock) -> None:
    bench = Bench()
    bench.processes.gate = trio.Event()
    async with bench.running(), trio.open_nursery() as nursery:
        await settled()
        assert bench.spare.view() == SpareView("importing")
        nursery.start_soon(spawn_and_leave, bench)
        await settled()
        bench.processes.gate.set()
    assert len(bench.processes.all) == 1


async def test_one_that_is_taken_and_then_cannot_be_started_costs_nothing(autojump_clock: MockClock) -> None:
    bench = Bench()
    bench.processes.gate = trio.Event()
    bench.processes.fault_once = OSError(12, "Cannot allocate memory")
    async with bench.running(), trio.open_nursery() as nursery:
        await settled()
        nursery.start_soon(spawn_and_leave, bench)
        await settled()
        bench.processes.gate.set()
    assert len(bench.processes.all) == 1


async def spawn_and_leave(bench: Bench) -> None:
    async with bench.spare.spawn(SERVE):
        pass


async def test_one_that_has_just_died_is_not_taken(autojump_clock: MockClock, bench: Bench) -> None:
    process = await bench.warm()
    process.exit(-9)  # and nobody has been told yet
    async with bench.spare.spawn(SERVE) as fresh:
        assert fresh.pid != process.pid


async def test_one_that_let_go_of_its_link_is_not_taken_while_its_exit_is_waited_for(
    autojump_clock: MockClock, bench: Bench
) -> None:
    process = await bench.warm()
    process.close_link()
    await settled()
    assert not process.has_ended
    async with bench.spare.spawn(SERVE) as fresh:
        assert fresh.pid != process.pid


async def test_one_that_broke_the_protocol_is_not_taken_while_it_is_being_killed(
    autojump_clock: MockClock, bench: Bench
) -> None:
    process = await bench.warm()
    bench.processes.end_gate = trio.Event()
    process.say_bytes(hello_bytes(process))
    await settled()
    assert not process.has_ended
    async with bench.spare.spawn(SERVE) as fresh:
        assert fresh.pid != process.pid
        bench.processes.end_gate.set()


async def test_one_that_is_stopped_is_not_taken_but_killed(autojump_clock: MockClock, bench: Bench) -> None:
    process = await bench.warm()
    process.is_stopped = True
    async with bench.spare.spawn(SERVE) as fresh:
        assert fresh.pid != process.pid
        await settled()
        assert process.has_ended
    assert bench.lines.rows("spare none")[0]["level"] == "warning"


async def test_a_spawn_without_a_spare_is_a_fresh_one_with_its_own_errors(
    autojump_clock: MockClock, bench: Bench
) -> None:
    (await bench.warm()).exit(1)
    await settled()
    bench.processes.fault = OSError(12, "Cannot allocate memory")
    with pytest.raises(OSError, match="Cannot allocate memory"):
        await spawn_and_leave(bench)


# The next one


async def test_the_next_one_comes_a_pause_after_the_loads_have_ended(autojump_clock: MockClock, bench: Bench) -> None:
    await bench.warm()
    bench.spare.loads(1)
    async with bench.spare.spawn(SERVE):
        await trio.sleep(1000)
        assert len(bench.processes.all) == 1
        bench.spare.loads(0)
        ended = trio.current_time()
        await bench.warm()
        assert trio.current_time() - ended == pytest.approx(PAUSE_S, abs=0.1)


async def test_one_that_dies_is_replaced_with_growing_pauses(autojump_clock: MockClock, bench: Bench) -> None:
    started = []
    for _ in range(4):
        process = await bench.importing()
        started.append(trio.current_time())
        process.exit(70)
    pauses = [later - earlier for earlier, later in pairwise(started)]
    assert pauses == pytest.approx([1, 2, 4], abs=0.1)
    lost = bench.lines.rows("spare none")[0]
    assert (lost["level"], lost["exit"], lost["stderr"]) == ("warning", 70, "last words")
    assert not lost["was_out_of_memory"]


async def test_one_that_cannot_be_started_is_tried_again_later(autojump_clock: MockClock) -> None:
    bench = Bench()
    bench.processes.fault = OSError(12, "Cannot allocate memory")
    async with bench.running():
        await trio.sleep(5)
        lost = bench.lines.rows("spare none")
        assert [row["level"] for row in lost] == ["warning"] * 3
        assert "Cannot allocate memory" in lost[0]["reason"]
        bench.processes.fault = None
        await bench.warm()


async def test_one_that_breaks_the_protocol_is_killed(autojump_clock: MockClock, bench: Bench) -> None:
    process = await bench.warm()
    process.say_bytes(hello_bytes(process))
    await settled()
    assert process.has_ended
    assert bench.spare.view() == SpareView("none")
    assert "may not send Hello" in bench.lines.rows("spare none")[0]["reason"]


async def test_one_that_lets_go_of_its_link_and_lives_on_is_killed(autojump_clock: MockClock, bench: Bench) -> None:
    process = await bench.warm()
    process.close_link()
    await trio.sleep(EXIT_S - 0.1)
    assert process.signals == []
    await trio.sleep(0.2)
    assert process.signals == ["kill"]
    assert bench.spare.view() == SpareView("none")


async def test_one_that_is_not_warm_in_time_is_killed_and_replaced(autojump_clock: MockClock, bench: Bench) -> None:
    process = await bench.importing()
    started = trio.current_time()
    following = await bench.importing()
    assert process.has_ended
    assert following.pid != process.pid
    assert trio.current_time() - started == pytest.approx(WARM_S + PAUSE_S, abs=0.1)
    assert bench.lines.rows("spare none")[0]["level"] == "warning"


async def test_one_of_another_class_is_killed_and_the_next_is_of_the_class_that_was_ordered(
    autojump_clock: MockClock, bench: Bench
) -> None:
    misfit = await bench.warm()
    async with bench.spare.spawn(FIRST_GPU) as fresh:
        assert fresh.pid != misfit.pid
        assert (await bench.processes.spawned()).kind == FIRST_GPU
        await settled()
        assert misfit.has_ended
    assert (await bench.warm()).kind == FIRST_GPU
    async with bench.spare.spawn(msgspec.structs.replace(FIRST_GPU, variables=dict(FIRST_GPU.variables))):
        assert len(bench.processes.all) == 3


async def test_with_a_pause_of_nothing_a_late_word_of_the_old_one_is_not_the_new_one_s(
    autojump_clock: MockClock,
) -> None:
    bench = Bench(spare_pause_ns=0)
    async with bench.running():
        misfit = await bench.importing()
        misfit.greet()
        async with bench.spare.spawn(FIRST_GPU):
            await settled()
            assert bench.spare.view().state == "importing"


# The end


async def test_a_service_that_stops_starts_no_other_one(autojump_clock: MockClock, bench: Bench) -> None:
    process = await bench.warm()
    bench.spare.close()
    await settled()
    assert bench.spare.view() == SpareView("warm", process.pid)
    process.exit(1)
    await trio.sleep(1000)
    assert len(bench.processes.all) == 1


async def test_the_end_of_the_service_ends_the_spare(autojump_clock: MockClock) -> None:
    bench = Bench()
    async with bench.running():
        process = await bench.warm()
    assert process.has_ended


async def test_the_end_of_the_service_ends_what_was_taken(autojump_clock: MockClock) -> None:
    bench = Bench()
    async with trio.open_nursery() as nursery:
        nursery.start_soon(bench.spare.run)
        process = await bench.warm()
        async with bench.spare.spawn(SERVE) as taken:
            nursery.cancel_scope.cancel()
            await taken.wait()
    assert process.has_ended


async def test_a_taker_that_is_cancelled_at_once_ends_it(autojump_clock: MockClock, bench: Bench) -> None:
    process = await bench.warm()
    with trio.CancelScope() as scope:
        scope.cancel()
        await spawn_and_leave(bench)
    assert scope.cancelled_caught
    assert process.has_ended


async def test_what_it_does_is_told_in_order(autojump_clock: MockClock, bench: Bench) -> None:
    await bench.warm()
    async with bench.spare.spawn(SERVE):
        assert bench.states() == ["spare importing", "spare warm", "spare none"]
        assert [row["level"] for row in bench.lines.rows()] == ["debug", "info", "info"]
        assert bench.lines.rows("spare none")[0]["why"] == "it becomes a runner"


def hello_bytes(process: FakeProcess) -> bytes:
    """A greeting as bytes, without the fake's own idea of what it has said."""
    said: ToService = Hello(PROTOCOL_VERSION, "test", process.pid)
    return runner_link(Task.SERVE).send(said)
