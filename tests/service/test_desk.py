"""From the handler's side, through the real core, to runners in a test's hands."""

from typing import Any

import msgspec
import pytest
import trio
import trio.testing
from trio.testing import MockClock

from service.front import Answer
from statemachines.errors import Refusal, RefusalCode, RequestRefused, RunnerFailed
from statemachines.events import ModelReplaced, OperatorStop, RequestArrived, ShutdownOrdered, SpawnFailed
from statemachines.facts import LoadFailure, LoadKey, LoadOptions
from statemachines.limits import Limits
from statemachines.units import FOREVER_NS, NS_PER_S, RequestId
from statemachines.wire import messages as wire
from statemachines.wire.messages import Cancel, Delta, EndReason, Generate, Load, Tokens, Usage
from tests.fakes.processes import FakeProcess
from tests.fakes.store import SIZES, facts_of, stored
from tests.service.shell import QUESTION, Shell, load, running

USAGE = Usage(prompt_tokens=2, output_tokens=2)


async def generate_heard(process: FakeProcess) -> Generate:
    """The question, with thread orders passed over as a runner would answer them."""
    while True:
        match await process.hear():
            case wire.SetThreads(threads=threads):
                process.say(wire.ThreadsSet(threads))
            case Generate() as generate:
                return generate


async def answer(process: FakeProcess, *texts: str) -> Generate:
    """Hear a question and answer it."""
    generate = await generate_heard(process)
    for step, text in enumerate(texts):
        process.say(Tokens(step, (Delta(generate.lease, text),)))
    process.say(wire.LeaseEnded(generate.lease, EndReason.STOP, USAGE))
    return generate


class Asking:
    """A handler in a task of its own; what came of it is in ``answer`` or ``error``."""

    def __init__(self, shell: Shell, name: str = "a", **wish: Any) -> None:
        self.answer: Answer | None = None
        self.error: Exception | None = None
        self.texts: list[str] = []
        self.scope = trio.CancelScope()
        self._shell, self._name, self._wish = shell, name, wish

    async def collect(self) -> None:
        with self.scope:
            try:
                async with self._shell.leased(self._name, **self._wish) as lease:
                    self.answer = await lease.collect(QUESTION)
            except (RequestRefused, RunnerFailed) as error:
                self.error = error

    async def stream(self) -> None:
        with self.scope:
            try:
                async with self._shell.leased(self._name, **self._wish) as lease:
                    async for item in lease.stream(QUESTION):
                        self.texts.append(item.text if isinstance(item, Delta) else f"<{item.reason}>")
            except (RequestRefused, RunnerFailed) as error:
                self.error = error

    @property
    def refusal(self) -> Refusal:
        assert isinstance(self.error, RequestRefused | RunnerFailed)
        return self.error.refusal


def arrivals(shell: Shell) -> list[RequestArrived]:
    return [event for event in shell.journal.events if isinstance(event, RequestArrived)]


# One request, from door to door


async def test_a_request_loads_its_model_is_answered_and_finished_once(autojump_clock: MockClock) -> None:
    async with running() as shell, trio.open_nursery() as nursery:
        asking = Asking(shell)
        nursery.start_soon(asking.collect)
        process = await shell.ready_process()
        await answer(process, "Hello", " you")

        await trio.testing.wait_all_tasks_blocked(0.01)
        assert asking.answer is not None
        assert (asking.answer.text, asking.answer.ended.usage) == ("Hello you", USAGE)
        assert shell.finished_requests() == [RequestId(1)]
        assert shell.lease_ends() == [("finished", False)]


async def test_a_stream_gives_the_pieces_and_then_the_end(autojump_clock: MockClock) -> None:
    async with running() as shell, trio.open_nursery() as nursery:
        asking = Asking(shell)
        nursery.start_soon(asking.stream)
        await answer(await shell.ready_process(), "one", " two")

        await trio.testing.wait_all_tasks_blocked(0.01)
        assert "".join(asking.texts) == "one two<stop>"


async def test_the_lease_knows_what_is_loaded_and_how_long_it_waited(autojump_clock: MockClock) -> None:
    async with running() as shell, trio.open_nursery() as nursery:

        async def load_slowly() -> None:
            process = await shell.processes.spawned()
            await trio.sleep(2)
            await load(process)

        nursery.start_soon(load_slowly)
        async with shell.leased() as lease:
            assert lease.loaded.context_tokens == SIZES.context_tokens_max
            assert lease.load_ns == 2 * NS_PER_S


async def test_a_second_request_for_a_loaded_model_spawns_nothing(autojump_clock: MockClock) -> None:
    async with running() as shell, trio.open_nursery() as nursery:
        nursery.start_soon(Asking(shell).collect)
        process = await shell.ready_process()
        await answer(process, "first")
        second = Asking(shell)
        nursery.start_soon(second.collect)
        await answer(process, "second")

        await trio.testing.wait_all_tasks_blocked(0.01)
        assert second.answer is not None
        assert len(shell.processes.all) == 1


async def test_a_request_that_only_loads_ends_its_lease_without_asking_the_runner(autojump_clock: MockClock) -> None:
    async with running() as shell, trio.open_nursery() as nursery:

        async def only_load() -> None:
            async with shell.leased():
                pass

        nursery.start_soon(only_load)
        process = await shell.ready_process()
        await trio.testing.wait_all_tasks_blocked(0.01)

        assert shell.lease_ends() == [("cancelled", False)]
        assert shell.finished_requests() == [RequestId(1)]
        assert process.signals == []
        heard = [type(await process.hear()) for _ in process.link.to_runner]
        assert Generate not in heard
        assert Cancel not in heard
        assert [request.state for request in shell.desk.snapshot().requests] == []


@pytest.mark.parametrize(
    ("num_ctx", "context_length", "expected"),
    [
        (None, None, LoadOptions(2048, context_is_automatic=True)),
        (None, 512, LoadOptions(512, context_is_automatic=False)),
        (256, 512, LoadOptions(256, context_is_automatic=False)),
        (1, None, LoadOptions(4, context_is_automatic=False)),
        (10**9, None, LoadOptions(2048, context_is_automatic=False)),
    ],
)
async def test_what_is_asked_of_a_load_is_resolved_before_it_arrives(
    autojump_clock: MockClock, num_ctx: int | None, context_length: int | None, expected: LoadOptions
) -> None:
    async with running(context_length=context_length) as shell, trio.open_nursery() as nursery:
        nursery.start_soon(lambda: Asking(shell, num_ctx=num_ctx, keep_alive_ns=5).collect())
        process = await shell.processes.spawned()
        order = await load(process)

        assert order.options == expected
        (arrived,) = arrivals(shell)
        assert (arrived.wanted, arrived.sizes, arrived.keep_alive_ns) == (expected, SIZES, 5)
        nursery.cancel_scope.cancel()


async def test_a_wish_for_the_cpu_reaches_the_load(autojump_clock: MockClock) -> None:
    async with running() as shell, trio.open_nursery() as nursery:
        nursery.start_soon(Asking(shell, gpu_layers=0).collect)
        process = await shell.processes.spawned()

        assert (await load(process)).options.gpu_layers == 0
        nursery.cancel_scope.cancel()


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


# Stopping


async def test_an_operators_stop_unloads_an_idle_model_and_loads_nothing(autojump_clock: MockClock) -> None:
    async with running() as shell, trio.open_nursery() as nursery:
        nursery.start_soon(Asking(shell, keep_alive_ns=FOREVER_NS).collect)
        process = await shell.ready_process()
        await answer(process, "done")
        await trio.testing.wait_all_tasks_blocked(0.01)
        shell.desk.stop(stored("a"))
        await trio.testing.wait_all_tasks_blocked(0.01)

        assert process.signals == ["term"]
        assert shell.desk.snapshot().runners == ()
        assert len(shell.processes.all) == 1


async def test_b06_nothing_to_unload_is_no_error(autojump_clock: MockClock) -> None:
    async with running() as shell, trio.open_nursery() as nursery:
        nursery.start_soon(Asking(shell, keep_alive_ns=FOREVER_NS).collect)
        await answer(await shell.ready_process(), "done")
        await trio.testing.wait_all_tasks_blocked(0.01)
        for model in ("a", "a", "b"):  # Others were quicker; and one that never was loaded.
            shell.desk.stop(stored(model))
            await trio.testing.wait_all_tasks_blocked(0.01)

        assert shell.desk.snapshot().runners == ()
        assert len(shell.events(OperatorStop)) == 3
        assert shell.lines.levels() <= {"debug", "info"}


async def test_an_idle_model_is_unloaded_when_its_keep_alive_is_over(autojump_clock: MockClock) -> None:
    async with running() as shell, trio.open_nursery() as nursery:
        nursery.start_soon(Asking(shell, keep_alive_ns=7 * NS_PER_S).collect)
        process = await shell.ready_process()
        await answer(process, "done")
        await trio.sleep(6)
        assert process.signals == []
        await trio.sleep(2)

        assert process.signals == ["term"]


async def test_a_client_that_reads_nothing_is_told_so_when_it_reads_again(autojump_clock: MockClock) -> None:
    async with running(client_stall_ns=NS_PER_S) as shell, trio.open_nursery() as nursery:
        errors: list[RequestRefused] = []

        async def read_one_piece() -> None:
            try:
                async with shell.leased() as lease:
                    async for _ in lease.stream(QUESTION):
                        await trio.sleep(10)
            except RequestRefused as error:
                errors.append(error)

        nursery.start_soon(read_one_piece)
        process = await shell.ready_process()
        generate = await generate_heard(process)
        for step in range(4):
            process.say(Tokens(step, (Delta(generate.lease, "x"),)))
            await trio.sleep(1)
        assert await process.hear() == Cancel(generate.lease)
        process.say(wire.LeaseEnded(generate.lease, EndReason.CANCELLED))
        await trio.sleep(30)

        assert [error.code for error in errors] == [RefusalCode.CLIENT_STALLED]
        assert process.signals == []


async def test_shutdown_refuses_who_waits_lets_answers_end_and_finishes(autojump_clock: MockClock) -> None:
    async with running() as shell, trio.open_nursery() as nursery:
        answered, late = Asking(shell), Asking(shell)
        nursery.start_soon(answered.collect)
        process = await shell.ready_process()
        generate = await generate_heard(process)
        shell.reactor.post(ShutdownOrdered())
        await trio.testing.wait_all_tasks_blocked(0.01)
        await late.collect()
        assert late.refusal.code is RefusalCode.DRAINING
        assert shell.finished is None
        process.say(wire.LeaseEnded(generate.lease, EndReason.STOP))
        await trio.testing.wait_all_tasks_blocked(0.01)

        assert answered.answer is not None
        assert process.signals == ["term"]
        assert shell.finished == ()


async def test_a_second_order_kills_at_once_and_an_unreapable_runner_is_named(autojump_clock: MockClock) -> None:
    async with running() as shell, trio.open_nursery() as nursery:
        asking = Asking(shell)
        nursery.start_soon(asking.collect)
        process = await shell.ready_process()
        await generate_heard(process)
        process.obeys_kill = False
        shell.reactor.post(ShutdownOrdered())
        shell.reactor.post(ShutdownOrdered(force=True))
        await trio.sleep(20)

        assert "kill" in process.signals
        assert shell.finished == (1,)
        nursery.cancel_scope.cancel()


# What operators see


async def test_wall_time_of_core_time(autojump_clock: MockClock) -> None:
    async with running() as shell:
        now = shell.clock.now_ns()
        assert shell.desk.wall_time_ns(now + 5) == shell.clock.wall_ns() + 5


async def test_files_of_keys_that_nothing_uses_are_forgotten(
    autojump_clock: MockClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("service.desk.MODELS_KEPT", 2)
    models = [stored(f"m{number}") for number in range(5)]
    async with running(*models) as shell, trio.open_nursery() as nursery:
        for model in models:
            shell.store.facts_by_name[model.name] = facts_of()
            asking = Asking(shell, model.name.removesuffix(":latest"), keep_alive_ns=0)
            nursery.start_soon(asking.collect)
            await answer(await shell.ready_process(), "bye")
            await trio.testing.wait_all_tasks_blocked(0.01)

        assert shell.desk.find_model(models[0].key) is None
        assert shell.desk.find_model(models[-1].key) == models[-1]


async def test_a_load_whose_file_nobody_knows_any_more_is_a_failed_spawn(autojump_clock: MockClock) -> None:
    async with running() as shell:
        shell.reactor.post(
            RequestArrived(request=RequestId(9), model="x", key=LoadKey("file:x"), wanted=LoadOptions(64), sizes=SIZES)
        )
        await trio.sleep(10)

        assert len(shell.events(SpawnFailed)) == Limits().load_attempts_max
        assert shell.processes.all == []


async def test_each_load_order_names_the_file_of_its_model(autojump_clock: MockClock) -> None:
    async with running() as shell, trio.open_nursery() as nursery:
        orders: list[Load] = []
        for name in ("a", "b"):
            nursery.start_soon(Asking(shell, name).collect)
            orders.append(await load(await shell.processes.spawned()))

        assert [order.paths for order in orders] == [stored("a").paths, stored("b").paths]
        nursery.cancel_scope.cancel()
