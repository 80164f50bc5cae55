"""Clients that leave and runners that die, from the handler's side."""

import pytest
import trio
import trio.testing
from trio.testing import MockClock

from statemachines.errors import RefusalCode, RunnerFailed
from statemachines.events import RequestArrived
from statemachines.facts import LoadOptions
from statemachines.units import RequestId
from statemachines.wire import messages as wire
from statemachines.wire.messages import Cancel, Delta, EndReason, Tokens
from tests.fakes.store import SIZES, stored
from tests.service.asking import Asking, answer, generate_heard
from tests.service.shell import load, running

# Leaving


async def test_b06_a_client_that_leaves_while_its_model_loads_costs_its_own_place_and_is_no_error(
    autojump_clock: MockClock,
) -> None:
    async with running() as shell, trio.open_nursery() as nursery:
        leaving, staying = Asking(shell), Asking(shell)
        nursery.start_soon(leaving.collect)
        nursery.start_soon(staying.collect)
        process = await shell.processes.spawned()
        leaving.scope.cancel()
        await trio.testing.wait_all_tasks_blocked(0.01)
        await load(process)
        await answer(process, "for the one who stayed")

        await trio.testing.wait_all_tasks_blocked(0.01)
        assert staying.answer is not None
        assert sorted(shell.finished_requests()) == [1, 2]
        assert shell.lines.levels() <= {"debug", "info"}


async def test_b06_a_client_that_leaves_during_its_answer_has_it_cancelled_and_is_no_error(
    autojump_clock: MockClock,
) -> None:
    async with running() as shell, trio.open_nursery() as nursery:
        asking = Asking(shell)
        nursery.start_soon(asking.stream)
        process = await shell.ready_process()
        generate = await generate_heard(process)
        asking.scope.cancel()
        assert await process.hear() == Cancel(generate.lease)
        process.say(wire.LeaseEnded(generate.lease, EndReason.CANCELLED))
        await trio.testing.wait_all_tasks_blocked(0.01)

        assert shell.lease_ends() == [("cancelled", False)]
        assert process.signals == []
        assert shell.lines.levels() <= {"debug", "info"}


async def test_a_handler_that_is_cancelled_in_the_step_of_its_grant_does_not_keep_the_slot(
    autojump_clock: MockClock,
) -> None:
    async with running() as shell, trio.open_nursery() as nursery:
        asking = Asking(shell)
        nursery.start_soon(asking.collect)
        process = await shell.processes.spawned()
        await load(process)
        asking.scope.cancel()
        next_one = Asking(shell)
        nursery.start_soon(next_one.collect)
        await answer(process, "mine")

        await trio.testing.wait_all_tasks_blocked(0.01)
        assert next_one.answer is not None


# Crashes


async def test_a_crash_before_anything_was_sent_is_tried_again_without_the_caller_noticing(
    autojump_clock: MockClock,
) -> None:
    async with running() as shell, trio.open_nursery() as nursery:
        asking = Asking(shell)
        nursery.start_soon(asking.collect)
        first = await shell.ready_process()
        generate = await generate_heard(first)
        first.say(Tokens(1, (Delta(generate.lease, "lost words"),)))
        await trio.testing.wait_all_tasks_blocked(0.01)
        first.exit(-6)
        await answer(await shell.ready_process(), "found words")

        await trio.testing.wait_all_tasks_blocked(0.01)
        assert asking.answer is not None
        assert asking.answer.text == "found words"
        assert shell.finished_requests() == [RequestId(1)]


async def test_a_second_crash_is_told(autojump_clock: MockClock) -> None:
    async with running() as shell, trio.open_nursery() as nursery:
        asking = Asking(shell)
        nursery.start_soon(asking.stream)
        for _ in range(2):
            process = await shell.ready_process()
            await generate_heard(process)
            process.exit(-6)

        await trio.testing.wait_all_tasks_blocked(0.01)
        assert isinstance(asking.error, RunnerFailed)
        assert asking.refusal.code is RefusalCode.RUNNER_CRASHED


async def test_a_crash_after_something_was_sent_is_an_error_after_what_had_come(autojump_clock: MockClock) -> None:
    async with running() as shell, trio.open_nursery() as nursery:
        asking = Asking(shell)
        nursery.start_soon(asking.stream)
        process = await shell.ready_process()
        generate = await generate_heard(process)
        process.say(Tokens(1, (Delta(generate.lease, "a beginning"),)))
        await trio.testing.wait_all_tasks_blocked(0.01)
        process.exit(-6)

        await trio.testing.wait_all_tasks_blocked(0.01)
        assert asking.texts == ["a beginning"]
        assert isinstance(asking.error, RunnerFailed)
        assert len(shell.processes.all) == 1
        assert shell.lease_ends() == [("crashed", True)]


async def test_a_grant_that_crosses_the_exit_of_its_runner_is_tried_again(
    autojump_clock: MockClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with running() as shell, trio.open_nursery() as nursery:
        nursery.start_soon(Asking(shell).collect)
        first = await shell.ready_process()
        await answer(first, "warm")
        await trio.testing.wait_all_tasks_blocked(0.01)
        arrival = RequestArrived(
            request=RequestId(99), model="a:latest", key=stored("a").key, wanted=LoadOptions(4), sizes=SIZES
        )

        def arrive_just_before_the_exit(_level: str, line: str, **_: object) -> None:
            if line == "runner ended by itself":
                shell.reactor.post(arrival)

        record = shell.runners[shell.desk.snapshot().runners[0].runner].record
        monkeypatch.setattr(record, "say", arrive_just_before_the_exit)
        first.exit(-6)
        await shell.processes.spawned()
        await trio.testing.wait_all_tasks_blocked(0.01)

        assert shell.lease_ends()[-1] == ("crashed", False)
        assert [(view.request, view.state) for view in shell.desk.snapshot().requests] == [(99, "waiting")]
        nursery.cancel_scope.cancel()
