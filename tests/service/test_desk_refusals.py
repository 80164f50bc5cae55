"""Requests that get no answer, and why: from the handler's side."""

import msgspec
import trio
import trio.testing
from trio.testing import MockClock

from statemachines.errors import Refusal, RefusalCode, RequestRefused
from statemachines.events import ModelReplaced
from statemachines.facts import LoadFailure
from statemachines.limits import Limits
from statemachines.wire import messages as wire
from statemachines.wire.messages import EndReason
from tests.fakes.store import stored
from tests.service.asking import Asking, answer, arrivals, generate_heard
from tests.service.shell import QUESTION, load, running

# Refusals


async def test_a_prompt_that_the_runner_refuses_is_refused_with_the_runners_reason(autojump_clock: MockClock) -> None:
    async with running() as shell, trio.open_nursery() as nursery:
        asking = Asking(shell)
        nursery.start_soon(asking.stream)
        process = await shell.ready_process()
        generate = await generate_heard(process)
        refusal = Refusal(RefusalCode.PROMPT_TOO_LONG, "too long")
        process.say(wire.LeaseEnded(generate.lease, EndReason.REFUSED, refusal=refusal))

        await trio.testing.wait_all_tasks_blocked(0.01)
        assert asking.refusal == refusal
        assert shell.lease_ends() == [("finished", False)]


async def test_a_load_that_fails_refuses_everybody_who_waited_for_it(autojump_clock: MockClock) -> None:
    async with running() as shell, trio.open_nursery() as nursery:
        askings = [Asking(shell), Asking(shell)]
        for asking in askings:
            nursery.start_soon(asking.collect)
        process = await shell.processes.spawned()
        process.greet()
        await process.hear()
        await process.hear()
        process.say(wire.LoadFailed(LoadFailure.BAD_FILE, "it has no tensors"))
        await trio.testing.wait_all_tasks_blocked(0.01)

        assert {asking.refusal.code for asking in askings} == {RefusalCode.LOAD_FAILED}
        assert process.signals == ["kill"]
        assert sorted(shell.finished_requests()) == [1, 2]


async def test_a_full_queue_is_refused_at_once(autojump_clock: MockClock) -> None:
    async with running(limits=Limits(queue_len_max=1)) as shell, trio.open_nursery() as nursery:
        waiting, refused = Asking(shell), Asking(shell)
        nursery.start_soon(waiting.collect)
        await shell.processes.spawned()
        nursery.start_soon(refused.collect)
        await trio.testing.wait_all_tasks_blocked(0.01)

        assert refused.refusal.code is RefusalCode.QUEUE_FULL
        nursery.cancel_scope.cancel()


async def test_facts_that_cannot_be_read_post_nothing(autojump_clock: MockClock) -> None:
    async with running() as shell:

        async def refuse(*_: object, **__: object) -> None:
            raise RequestRefused(Refusal(RefusalCode.INVALID, "no model"))

        shell.store.facts = refuse  # type: ignore[assignment, method-assign]  # never returns
        asking = Asking(shell)
        await asking.collect()

        assert asking.refusal.message == "no model"
        assert arrivals(shell) == []


async def test_a_question_larger_than_the_link_takes_is_refused_and_the_slot_comes_free(
    autojump_clock: MockClock,
) -> None:
    async with running() as shell, trio.open_nursery() as nursery:
        asking = Asking(shell)
        errors: list[RequestRefused] = []

        async def ask_too_much() -> None:
            try:
                async with shell.leased() as lease:
                    await lease.collect(msgspec.structs.replace(QUESTION, prompt=wire.TextPrompt("x" * (66 << 20))))
            except RequestRefused as error:
                errors.append(error)

        nursery.start_soon(ask_too_much)
        process = await shell.ready_process()
        nursery.start_soon(asking.collect)
        await answer(process, "next")

        await trio.testing.wait_all_tasks_blocked(0.01)
        assert errors[0].code is RefusalCode.INVALID
        assert asking.answer is not None


# A file that is replaced


async def test_a_model_that_is_replaced_while_a_request_waits_is_looked_up_again_once(
    autojump_clock: MockClock,
) -> None:
    old, new = stored("a"), stored("a", version=2)
    async with running(old) as shell, trio.open_nursery() as nursery:
        asking = Asking(shell)
        nursery.start_soon(asking.collect)
        first = await shell.processes.spawned()
        shell.store.replace(new)
        shell.reactor.post(ModelReplaced(key=old.key))
        second = await shell.processes.spawned()
        order = await load(second)
        await answer(second, "the new words")

        await trio.testing.wait_all_tasks_blocked(0.01)
        assert order.identities == new.identities
        assert first.signals == ["kill"]
        assert asking.answer is not None
        assert [event.key for event in arrivals(shell)] == [old.key, new.key]
        assert sorted(shell.finished_requests()) == [1, 2]


async def test_a_model_that_is_replaced_again_and_again_is_refused_as_such(autojump_clock: MockClock) -> None:
    old, new = stored("a"), stored("a", version=2)
    async with running(old) as shell, trio.open_nursery() as nursery:
        asking = Asking(shell)
        nursery.start_soon(asking.collect)
        await shell.processes.spawned()
        shell.store.replace(new)
        shell.reactor.post(ModelReplaced(key=old.key))
        await shell.processes.spawned()
        shell.reactor.post(ModelReplaced(key=new.key))
        await trio.testing.wait_all_tasks_blocked(0.01)

        assert asking.refusal.code is RefusalCode.MODEL_REPLACED
        assert sorted(shell.finished_requests()) == [1, 2]


async def test_a_model_that_is_removed_while_a_request_waits_is_not_found(autojump_clock: MockClock) -> None:
    async with running() as shell, trio.open_nursery() as nursery:
        asking = Asking(shell)
        nursery.start_soon(asking.collect)
        await shell.processes.spawned()
        del shell.store.by_name["a:latest"]
        shell.reactor.post(ModelReplaced(key=stored("a").key))
        await trio.testing.wait_all_tasks_blocked(0.01)

        assert asking.refusal.code is RefusalCode.NOT_FOUND
