"""Runners that stand still (SIGSTOP, a disk that does not answer) or do not listen: each wait for one has its limit."""

import msgspec
import pytest

from service.config import Settings
from statemachines.effects import CancelLease, GrantLease, KillRunner, SpawnRunner, TerminateRunner
from statemachines.events import RunnerBeat
from statemachines.states import RunnerState, Stage
from statemachines.units import NS_PER_MS, RunnerId
from tests.integration.faults import phases
from tests.integration.faults.casting import Casting
from tests.integration.faults.gates import Gate
from tests.integration.faults.harness import POLITE, Faulted, faulted, limits
from tests.integration.faults.phases import Held
from tests.integration.faults.signals import freeze, thaw

NO_PROGRESS = "the model could not be loaded: loading made no progress for as long as it may (setting load_stall_s)"
LOADED = "hello hear:Load progress:0 ready"


def check_killed_by_us(service: Faulted, held: Held) -> None:
    """SIGKILL by the core's order; for an operator that is no fault of the runner's."""
    assert [kill.runner for kill in service.effects(KillRunner)] == [held.runner]
    (row,) = service.rows("runner ended", runner=held.runner)
    assert (row["level"], row["exit"]) == ("info", -9)
    assert service.told(held.runner)
    assert not service.errors()


def check_heeded_nothing(service: Faulted, held: Held) -> None:
    """A warning says that it had to be killed because it did not end when asked."""
    (row,) = service.rows("runner killing", runner=held.runner)
    assert (row["level"], row["why"]) == ("warning", "did not end by itself")
    check_killed_by_us(service, held)


# While it loads: load_stall_s


@pytest.mark.parametrize("is_frozen", [True, False], ids=["frozen", "disk_does_not_answer"])
async def test_a_load_that_stands_still_is_killed_at_its_limit_and_its_client_told(
    settings: Settings, is_frozen: bool
) -> None:
    async with faulted(settings) as service:
        held = await phases.loading(service)
        if is_frozen:
            await freeze(held.pid)
        await service.expire("stall", runner=held.runner)
        last = await held.client.end()

        assert (held.client.status, last) == (500, {"error": NO_PROGRESS})
        await service.dead(held.runner)
        check_killed_by_us(service, held)
        assert len(service.effects(SpawnRunner)) == 1


async def test_b12_a_runner_that_has_not_answered_yet_is_not_responding_and_no_error(
    settings: Settings, gate: Gate
) -> None:
    async with faulted(settings, Casting(f"gate:{gate.path} hello hear:Load linger")) as service:
        asked = service.ask("polite")
        await gate.arrived()
        runner = (await service.runner(RunnerState.LOADING)).runner
        (row,) = service.told(runner)
        assert (row["event"], row["level"], row["phase"]) == ("runner started", "info", "spawn")
        assert (row["status"], row["state"], row["fd"] > 2) == ("not responding", "loading", True)

        await service.expire("stall", runner=runner)
        await asked.end()
        assert asked.lines == [{"error": NO_PROGRESS}]
        await service.dead(runner)
        check_killed_by_us(service, Held(runner, service.pid(runner)))


# While it answers: wedge_s


async def test_frozen_in_the_middle_of_an_answer_it_is_killed_at_its_limit_and_the_client_told(
    settings: Settings,
) -> None:
    async with faulted(settings) as service:
        held = await phases.mid_answer(service)
        await freeze(held.pid)
        await service.expire("wedge", runner=held.runner)
        last = await held.client.end()

        assert (held.client.status, held.client.broke_off) == (200, False)
        assert "got nothing done" in last["error"]
        assert "setting wedge_s" in last["error"]
        await service.dead(held.runner)
        check_killed_by_us(service, held)


async def test_frozen_while_idle_and_then_asked_it_is_replaced_and_the_client_answered(settings: Settings) -> None:
    async with faulted(settings) as service:
        held = await phases.first_token(service)
        await service.expire("wedge", runner=held.runner)
        await held.client.end()

        assert (held.client.status, held.client.text) == (200, POLITE)
        await service.dead(held.runner)
        check_killed_by_us(service, held)


async def test_two_runners_that_get_nothing_done_are_told_to_the_client(settings: Settings) -> None:
    silent = f"{LOADED} hear:Generate linger"
    async with faulted(settings, Casting(silent, silent)) as service:
        asked = service.ask("polite")
        for count in (1, 2):
            grant = (await service.until(lambda _, count=count: service.effects(GrantLease)[count - 1 :]))[0]
            await service.expire("wedge", runner=grant.runner)
        last = await asked.end()

        assert asked.status == 500
        assert "got nothing done" in last["error"]
        assert len(service.effects(GrantLease)) == 2


async def test_frozen_for_less_than_its_limit_it_goes_on_as_if_nothing_had_been(settings: Settings) -> None:
    async with faulted(settings) as service:
        held = await phases.first_token(service)
        service.jump(settings.limits.wedge_ns // 2)
        thaw(held.pid)
        await held.client.end()

        assert (held.client.status, held.client.text) == (200, POLITE)
        assert len(service.effects(SpawnRunner)) == 1


async def test_a_client_that_leaves_a_frozen_runner_frees_its_slot_at_the_limit(settings: Settings) -> None:
    async with faulted(settings) as service:
        held = await phases.mid_answer(service)
        await freeze(held.pid)
        await held.client.leave()
        await service.until(lambda _: service.effects(CancelLease))
        waiting = service.ask("endless", options={"num_predict": 3})
        await service.until(lambda view: [one for one in view.requests if one.cause and one.cause.cause == "slot"])
        await service.expire("wedge", runner=held.runner)
        await waiting.end()

        assert (waiting.status, waiting.lines[-1]["done_reason"]) == (200, "length")
        check_killed_by_us(service, held)


# The other side of wedge_s: a runner that works hard is not taken for a frozen one (rule 15)


def granted_at(service: Faulted, runner: RunnerId) -> int:
    """When the first lease of a runner was granted, by the core's clock [ns]."""
    steps = service.journal.steps()
    return next(step.event.at for step in steps for one in step.effects if _grants(one, runner))


def _grants(effect: object, runner: RunnerId) -> bool:
    return isinstance(effect, GrantLease) and effect.runner == runner


def wedge_due(service: Faulted, runner: RunnerId) -> int:
    (due,) = (
        deadline.due
        for one in service.state().runners
        for deadline in one.deadlines
        if (one.runner, deadline.name) == (runner, "wedge")
    )
    return due


async def check_answered_by_the_first_runner(service: Faulted, held: Held) -> None:
    last = await held.client.end()
    assert (held.client.status, last["done_reason"]) == (200, "length")
    assert [order.runner for order in service.effects(SpawnRunner)] == [held.runner]
    assert service.effects(KillRunner) == []
    assert service.state().dead == ()


async def test_a_prompt_that_takes_longer_than_the_limit_is_evaluated_to_its_end(settings: Settings) -> None:
    """In real time, with the smallest limit that a busy machine may be trusted to keep."""
    wedge_ns = 1500 * NS_PER_MS
    async with faulted(msgspec.structs.replace(settings, limits=limits(wedge_ns=wedge_ns))) as service:
        held = await phases.prefill(service)
        await held.client.piece()
        beats = [beat.at for beat in service.events(RunnerBeat) if beat.runner == held.runner]
        assert beats[-1] - granted_at(service, held.runner) > wedge_ns, "too short a prompt: no beat was needed"
        assert len(beats) > 2
        await check_answered_by_the_first_runner(service, held)


async def test_every_beat_puts_the_limit_off_however_much_time_has_gone_by(settings: Settings) -> None:
    """Three fifths of the limit go by after each of two beats; together they are more than the limit."""
    limit_ns = settings.limits.wedge_ns
    async with faulted(settings) as service:
        held = await phases.prefill(service)
        for count in (1, 2):
            beat = (await phases.beats(service, held.client, count))[-1]
            # A jump past it would show nothing: a limit that is handled late is forgiven what the loop lost.
            assert wedge_due(service, held.runner) == beat.at + limit_ns
            service.jump(limit_ns * 3 // 5)
        assert service.clock.now_ns() - granted_at(service, held.runner) > limit_ns
        await check_answered_by_the_first_runner(service, held)


# While it is being stopped: drain_s, stop_grace_s


async def test_frozen_while_it_drains_its_client_is_told_when_the_last_rung_has_ended_it(settings: Settings) -> None:
    async with faulted(settings) as service:
        held = await phases.draining(service, await phases.mid_answer(service))
        await freeze(held.pid)
        await service.expire("drain", runner=held.runner)
        assert (await service.runner(RunnerState.UNLOADING)).stage is Stage.TERMINATING
        assert not held.client.is_over
        await service.expire("term", runner=held.runner)
        last = await held.client.end()

        assert last["error"].startswith("the model was stopped by an operator of this server")
        await service.dead(held.runner)
        check_heeded_nothing(service, held)


async def test_frozen_while_it_unloads_it_is_killed_after_its_grace(settings: Settings) -> None:
    async with faulted(settings) as service:
        held = await phases.unloading(service)
        assert [order.runner for order in service.effects(TerminateRunner)] == [held.runner]
        await service.expire("term", runner=held.runner)
        await service.dead(held.runner)
        check_heeded_nothing(service, held)


async def test_a_runner_that_neither_heeds_sigterm_nor_reads_is_killed_after_its_grace(settings: Settings) -> None:
    async with faulted(settings, Casting(f"ignore_sigterm {LOADED} linger")) as service:
        await service.generate("polite", prompt="")
        await service.generate("polite", prompt="", keep_alive=0)
        leaving = (await service.runner(RunnerState.UNLOADING)).runner
        assert service.effects(KillRunner) == []
        await service.expire("term", runner=leaving)
        await service.dead(leaving)
        check_heeded_nothing(service, Held(leaving, service.pid(leaving)))


async def test_a_frozen_runner_does_not_hold_up_the_end_of_the_service(settings: Settings) -> None:
    async with faulted(settings) as service:
        held = await phases.mid_answer(service)
        await freeze(held.pid)
        service.stop.set()
        await service.until(lambda view: view.service == "draining")
        await service.expire("drain", runner=held.runner)
        await service.expire("term", runner=held.runner)
        last = await held.client.end()

        assert last["error"].startswith("the server is shutting down")
        await service.dead(held.runner)
        check_heeded_nothing(service, held)
