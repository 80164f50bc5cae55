"""Runners that end by themselves, in a load or at the first decode: typed, tried again once, and never for ever."""

import msgspec
import pytest

from service.config import Settings
from statemachines.effects import GrantLease, SpawnRunner
from statemachines.states import LoadState
from statemachines.units import NS_PER_S
from tests.integration.faults.casting import NO_PROGRAM, Casting
from tests.integration.faults.harness import POLITE, faulted, limits

CRASHED = "the model's runner ended unexpectedly while it answered; the server's log says how it ended"


async def test_a_model_that_aborts_at_its_first_decode_is_tried_twice_and_its_client_told(settings: Settings) -> None:
    """An F64 tensor that the engine cannot look up: it loads, and then real llama.cpp aborts the process."""
    async with faulted(settings) as service:
        asked = service.ask("crash")
        last = await asked.end()

        assert (asked.status, last) == (500, {"error": CRASHED})
        assert len(service.effects(SpawnRunner)) == len(service.effects(GrantLease)) == 2
        for order in service.effects(SpawnRunner):
            await service.dead(order.runner)
            (row,) = service.rows("runner ended by itself", runner=order.runner)
            assert (row["level"], row["exit"], row["was_out_of_memory"]) == ("error", -6, False)
            assert "Fatal Python error: Aborted" in row["stderr"]


async def test_asked_again_and_again_a_model_that_crashes_costs_two_tries_each_time_and_nobody_else(
    settings: Settings,
) -> None:
    async with faulted(settings) as service:
        for _ in range(3):
            assert (await service.generate("crash")).status_code == 500
            assert (await service.generate("polite")).json()["response"] == POLITE

        assert len([order for order in service.effects(SpawnRunner) if order.model == "crash:latest"]) == 6


@pytest.mark.parametrize(
    ("script", "words"),
    [
        ("exit:3", "its runner ended while loading (exit status 3)"),
        ("hello hear:Load progress:5 exit:3", "its runner ended while loading (exit status 3)"),
        ("hello hear:Load progress:5 garbage linger", "its runner stopped talking to the server while loading"),
        (NO_PROGRAM, "no runner process could be started"),
    ],
    ids=["at_its_start", "in_the_load", "broken_link", "not_started"],
)
async def test_b13_a_load_that_fails_twice_leaves_no_lease_and_is_told_with_its_reason(
    settings: Settings, script: str, words: str
) -> None:
    config = msgspec.structs.replace(settings, limits=limits(retry_backoff_ns=100 * NS_PER_S))
    async with faulted(config, Casting(script, script)) as service:
        asked = service.ask("polite")
        (load,) = await service.until(lambda view: [one for one in view.loads if one.state is LoadState.WAITING])
        (request,) = service.state().requests
        assert (request.cause.cause, load.cause.cause) == ("backoff", "backoff")
        await service.expire("backoff", load=load.load)
        last = await asked.end()

        assert asked.status == 500
        assert last["error"].startswith(f"the model could not be loaded: {words}")
        assert "/" not in last["error"]
        assert len(service.effects(SpawnRunner)) == 2
        assert service.effects(GrantLease) == []


async def test_a_load_that_fails_once_is_only_a_pause_for_its_client(settings: Settings) -> None:
    async with faulted(settings, Casting(NO_PROGRAM)) as service:
        asked = service.ask("polite")
        await asked.end()
        assert (asked.status, asked.text) == (200, POLITE)
