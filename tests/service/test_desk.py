"""From the handler's side, through the real core, to runners in a test's hands."""

import pytest
import trio
import trio.testing
from trio.testing import MockClock

from statemachines.errors import RefusalCode, RequestRefused
from statemachines.events import OperatorStop, RequestArrived, ShutdownOrdered, SpawnFailed
from statemachines.facts import LoadKey, LoadOptions
from statemachines.limits import Limits
from statemachines.units import FOREVER_NS, NS_PER_S, RequestId
from statemachines.wire import messages as wire
from statemachines.wire.messages import Cancel, Delta, EndReason, Generate, Load, Tokens
from tests.fakes.store import SIZES, facts_of, stored
from tests.service.asking import USAGE, Asking, answer, arrivals, generate_heard
from tests.service.shell import QUESTION, load, running

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
