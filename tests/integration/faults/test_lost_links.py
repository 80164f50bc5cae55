"""The link of a runner ends before its process does, or its process before everything that it said has been read."""

import os

import msgspec
import psutil
import pytest

from service.config import Settings
from statemachines.effects import GrantLease, KillRunner, SpawnRunner
from statemachines.events import LinkLost
from statemachines.states import RunnerState
from statemachines.units import NS_PER_S, RunnerId
from tests.integration.faults.casting import Casting
from tests.integration.faults.gates import Gate
from tests.integration.faults.harness import HUNG_S, POLITE, Faulted, faulted, limits
from tests.integration.faults.signals import murder, stand_still_until_gone

LOADED = "hello hear:Load progress:0 ready"


def link_soon_lost(settings: Settings) -> Settings:
    """A link that has ended is not waited for: the process will not follow, and the test knows."""
    return msgspec.structs.replace(settings, link_exit_ns=1)


# The process ends, and was not heard to the end yet


@pytest.mark.parametrize("characters", [10, 30_000])
@pytest.mark.parametrize("status", [0, 1])
async def test_an_answer_that_was_finished_before_the_exit_is_never_a_crash(
    settings: Settings, gate: Gate, characters: int, status: int
) -> None:
    """The loop stands still from before the last frames are written until the process is gone."""
    script = f"{LOADED} roomy hear:Generate gate:{gate.path} tokens:12:{characters} end:stop exit:{status}"
    async with faulted(link_soon_lost(settings), Casting(script)) as service:
        asked = service.ask("polite")
        await gate.arrived()
        runner = (await service.runner(RunnerState.READY)).runner
        gate.open()
        stand_still_until_gone(service.pid(runner))
        await asked.end()

        assert (asked.status, asked.lines[-1]["done_reason"]) == (200, "stop")
        assert asked.text == "x" * 12 * characters
        assert len(service.effects(GrantLease)) == 1


async def test_a_load_that_failed_with_a_reason_before_the_exit_is_refused_with_it_and_not_tried_again(
    settings: Settings, gate: Gate
) -> None:
    script = f"hello hear:Load progress:0 gate:{gate.path} load_failed exit:1"
    async with faulted(link_soon_lost(settings), Casting(script)) as service:
        asked = service.ask("polite")
        await gate.arrived()
        runner = (await service.runner(RunnerState.LOADING)).runner
        gate.open()
        stand_still_until_gone(service.pid(runner))
        last = await asked.end()

        assert (asked.status, last) == (500, {"error": "the model could not be loaded: the file is torn"})
        assert len(service.effects(SpawnRunner)) == 1


async def test_an_answer_without_its_last_frame_is_a_crash_even_if_the_exit_status_is_0(
    settings: Settings, gate: Gate
) -> None:
    script = f"{LOADED} hear:Generate tokens:2 gate:{gate.path} exit:0"
    async with faulted(settings, Casting(script)) as service:
        asked = service.ask("polite")
        await asked.piece()
        gate.open()
        last = await asked.end()

        assert "ended unexpectedly while it answered" in last["error"]


async def test_a_runner_that_is_gone_as_soon_as_it_is_ready_is_replaced(settings: Settings) -> None:
    async with faulted(settings, Casting(f"{LOADED} exit:0")) as service:
        asked = service.ask("polite")
        await asked.end()

        assert (asked.status, asked.text) == (200, POLITE)
        assert len(service.effects(SpawnRunner)) == 2


async def test_a_child_that_a_runner_leaves_behind_with_its_link_is_not_waited_for(settings: Settings) -> None:
    script = f"{LOADED} hear:Generate leave_a_child exit:1"
    async with faulted(link_soon_lost(settings), Casting(script)) as service:
        asked = service.ask("polite")
        await asked.end()
        assert (asked.status, asked.text) == (200, POLITE)
        (gone,) = service.state().dead

    (child,) = [
        process for process in psutil.Process().children() if os.getsid(process.pid) == service.pid(gone.runner)
    ]
    murder(child.pid)
    child.wait()


# The link ends, and the process lives on


@pytest.mark.parametrize("fault", ["say_no_more", "hang_up", "garbage", "half_a_frame say_no_more"])
@pytest.mark.parametrize("before", ["hello hear:Load progress:1", f"{LOADED} hear:Generate"], ids=["loading", "asked"])
async def test_before_the_first_token_the_runner_is_killed_and_another_one_answers(
    settings: Settings, before: str, fault: str
) -> None:
    async with faulted(link_soon_lost(settings), Casting(f"{before} {fault} linger")) as service:
        asked = service.ask("polite")
        await asked.end()
        assert (asked.status, asked.text) == (200, POLITE)

        (lost,) = service.events(LinkLost)
        await service.dead(lost.runner)
        assert [kill.runner for kill in service.effects(KillRunner)] == [lost.runner]
        check_told(service, lost.runner)


@pytest.mark.parametrize("fault", ["say_no_more", "hang_up", "garbage", "half_a_frame say_no_more"])
async def test_in_the_middle_of_an_answer_the_runner_is_killed_and_the_client_told(
    settings: Settings, gate: Gate, fault: str
) -> None:
    script = f"{LOADED} hear:Generate tokens:2 gate:{gate.path} {fault} linger"
    async with faulted(link_soon_lost(settings), Casting(script)) as service:
        asked = service.ask("polite")
        await asked.piece()
        gate.open()
        last = await asked.end()

        assert (asked.status, asked.broke_off) == (200, False)
        assert "ended unexpectedly while it answered" in last["error"]
        (lost,) = service.events(LinkLost)
        await service.dead(lost.runner)
        check_told(service, lost.runner)


async def test_while_it_unloads_it_is_killed_without_waiting_for_its_grace(settings: Settings, gate: Gate) -> None:
    script = f"ignore_sigterm {LOADED} hear:Shutdown gate:{gate.path} hang_up linger"
    patient = msgspec.structs.replace(settings, limits=limits(stop_grace_ns=HUNG_S * NS_PER_S))
    async with faulted(link_soon_lost(patient), Casting(script)) as service:
        await service.generate("polite", prompt="")
        await service.generate("polite", prompt="", keep_alive=0)
        await gate.arrived()
        leaving = await service.runner(RunnerState.UNLOADING)
        gate.open()
        await service.dead(leaving.runner)

        assert len(service.effects(KillRunner)) == 1


async def test_two_lost_links_in_a_row_are_told_to_the_client(settings: Settings) -> None:
    script = f"{LOADED} hear:Generate hang_up linger"
    async with faulted(link_soon_lost(settings), Casting(script, script)) as service:
        asked = service.ask("polite")
        last = await asked.end()

        assert asked.status == 500
        assert "ended unexpectedly while it answered" in last["error"]
        assert len(service.events(LinkLost)) == 2


def check_told(service: Faulted, runner: RunnerId) -> None:
    """A warning says that the link is lost; that the runner was then killed is no news."""
    (warning,) = service.rows("the link to the runner is lost", runner=runner)
    assert warning["level"] == "warning"
    assert warning["reason"]
    (end,) = service.rows("runner ended", runner=runner)
    assert (end["level"], end["exit"]) == ("info", -9)
    assert service.told(runner)
