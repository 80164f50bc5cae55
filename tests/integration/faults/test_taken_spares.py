"""A spare that has just been lent to a load is a runner like any other, whatever happens to it.

What happens to a spare that nobody has taken stands in `tests.integration.test_spare`.
"""

import trio

from service.config import Settings
from statemachines.effects import KillRunner, SpawnRunner
from tests.integration.faults.casting import Births
from tests.integration.faults.clients import Asked
from tests.integration.faults.harness import POLITE, Faulted, faulted
from tests.integration.faults.signals import murder


async def frozen_and_taken(service: Faulted, births: Births) -> tuple[int, Asked]:
    """The spare, taken for a load while it is being started, and frozen; one that is known to be is not taken."""
    spare = await births.next_pid()
    asked = service.ask("polite")
    await service.said("spare none", why="it is ahead of a fresh one")
    births.freezes = False
    births.gate.set()
    return spare, asked


def frozen_births() -> Births:
    births = Births(freezes=True)
    births.gate = trio.Event()
    return births


async def test_killed_while_it_imports_for_a_load_the_load_is_tried_again(settings: Settings) -> None:
    births = frozen_births()
    async with faulted(settings, births) as service:
        spare, asked = await frozen_and_taken(service, births)
        row = await service.said("runner started")
        assert (row["pid"], row["status"]) == (spare, "not responding")
        murder(spare)
        await asked.end()

        assert (asked.status, asked.text) == (200, POLITE)
        assert len(service.effects(SpawnRunner)) == 2
        (end,) = service.rows("runner ended by itself", pid=spare)
        assert (end["level"], end["exit"]) == ("error", -9)


async def test_frozen_while_it_imports_for_a_load_it_is_killed_at_the_limit_of_the_load(settings: Settings) -> None:
    births = frozen_births()
    async with faulted(settings, births) as service:
        spare, asked = await frozen_and_taken(service, births)
        runner = (await service.said("runner started", pid=spare))["runner"]
        await service.expire("stall", runner=runner)
        last = await asked.end()

        assert asked.status == 500
        assert "setting load_stall_s" in last["error"]
        await service.dead(runner)
        assert [kill.runner for kill in service.effects(KillRunner)] == [runner]
