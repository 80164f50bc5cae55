"""SIGKILL and SIGTERM to a runner in each phase of its life: what its client sees, what the log says, what is next."""

from pathlib import Path
from typing import Any

import msgspec

from service.config import Settings
from statemachines.effects import CancelLease, GrantLease, KillRunner, SpawnRunner, TerminateRunner
from statemachines.events import ProcessExited
from statemachines.states import LoadState, RunnerState, Stage
from statemachines.units import NS_PER_S, RunnerId
from tests.integration.faults import phases
from tests.integration.faults.casting import Casting
from tests.integration.faults.gates import Gate
from tests.integration.faults.harness import KIND, POLITE, Faulted, check_books, faulted, limits
from tests.integration.faults.signals import dismiss, freeze, murder

SIGKILLED = -9


def the_end(service: Faulted, runner: RunnerId) -> dict[str, Any]:
    """The one log line about how a runner ended."""
    (row,) = [row for row in service.told(runner) if row["event"] in ("runner ended", "runner ended by itself")]
    return row


def check_told_as_an_error(service: Faulted, runner: RunnerId, *, state: str) -> None:
    """An operator hears of it once, as an error, with everything that tells which runner it was."""
    row = the_end(service, runner)
    assert (row["level"], row["event"], row["exit"]) == ("error", "runner ended by itself", SIGKILLED)
    assert (row["state"], row["status"], row["was_out_of_memory"]) == (state, "gone", False)
    assert row["pid"] == service.pid(runner)


async def test_killed_while_it_loads_the_load_is_tried_again_and_the_client_answered(settings: Settings) -> None:
    async with faulted(settings) as service:
        held = await phases.loading(service)
        check_books(service.state())
        murder(held.pid)
        await held.client.end()

        assert (held.client.status, held.client.text) == (200, POLITE)
        assert len(service.effects(SpawnRunner)) == 2
        assert len(service.effects(GrantLease)) == 1
        check_told_as_an_error(service, held.runner, state="loading")


async def test_killed_in_every_load_the_client_is_told_after_a_pause_and_two_tries(settings: Settings) -> None:
    config = msgspec.structs.replace(settings, limits=limits(retry_backoff_ns=100 * NS_PER_S))
    async with faulted(config) as service:
        held = await phases.loading(service)
        murder(held.pid)
        (load,) = await service.until(lambda view: [one for one in view.loads if one.state is LoadState.WAITING])
        assert load.cause.cause == "backoff"
        check_books(service.state())
        assert service.state().devices[0].reserved_bytes == 0

        gate = service.gates.hold("polite")
        await service.expire("backoff", load=load.load)
        await gate.arrived()
        murder(service.pid((await service.runner(RunnerState.LOADING)).runner))
        last = await held.client.end()

        assert held.client.status == 500
        assert last == {
            "error": "the model could not be loaded: its runner ended while loading (signal 9); the server's log says "
            "more"
        }
        assert len(service.effects(SpawnRunner)) == 2


async def test_killed_before_the_first_token_the_request_is_answered_by_another_runner(settings: Settings) -> None:
    async with faulted(settings) as service:
        held = await phases.first_token(service)
        murder(held.pid)
        await held.client.end()

        assert (held.client.status, held.client.text) == (200, POLITE)
        first, second = [grant.runner for grant in service.effects(GrantLease)][-2:]
        assert (first, second > first) == (held.runner, True)
        check_told_as_an_error(service, held.runner, state="ready")


async def test_killed_while_it_evaluates_a_prompt_the_request_is_answered_by_another_runner(
    settings: Settings,
) -> None:
    async with faulted(settings) as service:
        held = await phases.prefill(service)
        murder(held.pid)
        await service.dead(held.runner)
        check_books(service.state())
        last = await held.client.end()

        assert (held.client.status, last["done_reason"]) == (200, "length")
        assert held.client.text.startswith("and so on")
        first, second = [grant.runner for grant in service.effects(GrantLease)]
        assert (first, second > first) == (held.runner, True)
        assert [order.runner for order in service.effects(SpawnRunner)] == [first, second]
        check_told_as_an_error(service, held.runner, state="ready")


async def test_killed_twice_before_the_first_token_the_client_is_told_and_nothing_is_tried_a_third_time(
    settings: Settings, tmp_path: Path
) -> None:
    gates = [Gate(tmp_path / name) for name in ("first", "second")]
    silent = "hello hear:Load progress:0 ready hear:Generate gate:{} linger"
    async with faulted(settings, Casting(*(silent.format(gate.path) for gate in gates))) as service:
        asked = service.ask("polite")
        for gate in gates:
            await gate.arrived()
            murder(service.pid((await service.runner(RunnerState.READY)).runner))
            gate.open()
        last = await asked.end()

        assert asked.status == 500
        assert last == {
            "error": "the model's runner ended unexpectedly while it answered; the server's log says how it ended"
        }
        assert len(service.effects(GrantLease)) == 2


async def test_killed_in_the_middle_of_an_answer_the_client_keeps_what_it_has_and_is_told(settings: Settings) -> None:
    async with faulted(settings) as service:
        held = await phases.mid_answer(service)
        murder(held.pid)
        last = await held.client.end()

        assert held.client.status == 200
        assert not held.client.broke_off
        assert held.client.text.startswith("and so on")
        assert last == {
            "error": "the model's runner ended unexpectedly while it answered; the server's log says how it ended"
        }
        assert len(service.effects(GrantLease)) == 1
        check_told_as_an_error(service, held.runner, state="ready")
        (row,) = service.rows("an answer broke off")
        assert (row["level"], row["code"]) == ("warning", "runner_crashed")


async def test_killed_in_an_answer_that_nobody_has_seen_yet_the_request_is_answered_by_another_runner(
    settings: Settings, gate: Gate
) -> None:
    """Without a stream nothing counts as sent before the whole answer is there."""
    script = f"hello hear:Load progress:0 ready hear:Generate tokens:5:10 gate:{gate.path} linger"
    async with faulted(settings, Casting(script)) as service:
        asked = service.ask("polite", stream=False)
        await gate.arrived()
        murder(service.pid((await service.runner(RunnerState.READY)).runner))
        gate.open()
        await asked.end()

        assert (asked.status, asked.text) == (200, POLITE)
        assert len(service.effects(GrantLease)) == 2


async def test_killed_while_it_drains_for_an_operator_the_client_is_told_of_the_stop(settings: Settings) -> None:
    async with faulted(settings) as service:
        held = await phases.draining(service, await phases.mid_answer(service))
        murder(held.pid)
        last = await held.client.end()

        assert (held.client.status, held.client.broke_off) == (200, False)
        assert last["error"].startswith("the model was stopped by an operator of this server")
        check_told_as_an_error(service, held.runner, state="unloading")


async def test_killed_while_it_drains_nothing_is_tried_again_even_if_nothing_was_sent(settings: Settings) -> None:
    async with faulted(settings) as service:
        held = await phases.draining(service, await phases.first_token(service))
        murder(held.pid)
        last = await held.client.end()

        assert held.client.status == 503
        assert last["error"].startswith("the model was stopped by an operator of this server")
        assert [grant.runner for grant in service.effects(GrantLease)][1:] == [held.runner]


async def test_killed_while_the_service_drains_the_client_is_told_and_the_service_ends(settings: Settings) -> None:
    async with faulted(settings) as service:
        held = await phases.mid_answer(service)
        service.stop.set()
        await service.until(lambda view: [one for one in view.runners if one.stage is Stage.DRAINING])
        murder(held.pid)
        last = await held.client.end()

        assert (held.client.status, held.client.broke_off) == (200, False)
        assert last["error"].startswith("the server is shutting down")


async def test_b06_killed_while_it_unloads_is_no_news(settings: Settings) -> None:
    """It was told to go, and it went."""
    async with faulted(settings) as service:
        held = await phases.unloading(service)
        murder(held.pid)
        await service.dead(held.runner)

        row = the_end(service, held.runner)
        assert (row["level"], row["event"], row["exit"]) == ("info", "runner ended", SIGKILLED)
        assert service.effects(KillRunner) == []
        assert not service.errors()


async def test_killed_twice_and_by_the_core_as_well_it_dies_once(settings: Settings) -> None:
    async with faulted(settings) as service:
        held = await phases.unloading(service)
        murder(held.pid)
        murder(held.pid)
        await service.expire("term", runner=held.runner)
        await service.dead(held.runner)

        assert len([one for one in service.events(ProcessExited) if one.runner == held.runner]) == 1
        assert len(service.effects(TerminateRunner)) == 1
        assert not service.errors()


async def test_killed_while_idle_its_bytes_come_free_at_once(settings: Settings) -> None:
    async with faulted(settings) as service:
        held = await phases.idle(service)
        assert service.state().devices[0].used_bytes > 0
        murder(held.pid)
        await service.dead(held.runner)

        assert service.state().devices[0].used_bytes == 0
        check_told_as_an_error(service, held.runner, state="ready")


async def test_two_runners_killed_at_once_are_two_faults_and_no_more(settings: Settings) -> None:
    async with faulted(settings) as service:
        both = [await phases.first_token(service, model) for model in ("polite", "kind")]
        for held in both:
            murder(held.pid)
        for held, text in zip(both, (POLITE, KIND), strict=True):
            await held.client.end()
            assert (held.client.status, held.client.text) == (200, text)
            check_told_as_an_error(service, held.runner, state="ready")
        assert len(service.effects(SpawnRunner)) == 4


async def test_killed_when_its_client_has_left_nobody_is_told_and_nothing_is_tried_again(settings: Settings) -> None:
    async with faulted(settings) as service:
        held = await phases.mid_answer(service)
        await freeze(held.pid)
        await held.client.leave()
        await service.until(lambda _: service.effects(CancelLease))
        murder(held.pid)
        await service.dead(held.runner)

        assert not service.state().requests
        assert len(service.effects(GrantLease)) == 1
        check_told_as_an_error(service, held.runner, state="ready")


# SIGTERM from a stranger


async def test_dismissed_in_the_middle_of_an_answer_the_client_is_told_that_the_runner_ended(
    settings: Settings,
) -> None:
    """Nobody had cancelled the answer: it is lost as by any other end of a runner."""
    async with faulted(settings) as service:
        held = await phases.mid_answer(service)
        dismiss(held.pid)
        last = await held.client.end()

        assert (held.client.status, held.client.broke_off) == (200, False)
        assert "ended unexpectedly while it answered" in last["error"]
        (row,) = service.rows("the runner has broken off an answer by itself")
        assert (row["level"], row["runner"]) == ("warning", held.runner)
        await service.dead(held.runner)


async def test_dismissed_before_the_first_token_the_request_is_answered_by_another_runner(settings: Settings) -> None:
    """While it evaluates a prompt: one that was frozen might read the question before the signal, and say something."""
    async with faulted(settings) as service:
        held = await phases.prefill(service)
        dismiss(held.pid)
        await service.dead(held.runner)
        last = await held.client.end()

        assert (held.client.status, last["done_reason"]) == (200, "length")
        first, second = [grant.runner for grant in service.effects(GrantLease)]
        assert (first, second > first) == (held.runner, True)


async def test_dismissed_while_it_loads_the_load_is_tried_again(settings: Settings) -> None:
    async with faulted(settings) as service:
        held = await phases.loading(service)
        dismiss(held.pid)
        await held.client.end()

        assert (held.client.status, held.client.text) == (200, POLITE)
        assert the_end(service, held.runner)["exit"] == 0
