"""A runner that even SIGKILL does not end: nobody waits for it, and its bytes are not given away."""

import os
from pathlib import Path

from service.config import Settings
from statemachines.states import RunnerState, Stage
from statemachines.units import NS_PER_MS
from tests.integration.faults import phases
from tests.integration.faults.freezer import Freezer, freezer
from tests.integration.faults.harness import POLITE, Faulted, check_books, faulted, limits
from tests.integration.faults.separate import PROGRAM, separate


async def give_up(service: Faulted, ice: Freezer, held: phases.Held, deadline: str) -> None:
    """A deadline has it killed, and the core gives up the wait for its end."""
    ice.freeze(held.pid)
    await service.expire(deadline, runner=held.runner)
    await service.expire("kill", runner=held.runner)


async def test_it_keeps_its_bytes_until_it_is_reaped_and_its_model_is_answered_by_another(settings: Settings) -> None:
    async with faulted(settings) as service:
        with freezer() as ice:
            held = await phases.unloading(service)
            await give_up(service, ice, held, "term")
            assert (await service.runner(RunnerState.UNLOADING)).stage is Stage.UNREAPABLE
            (row,) = service.errors()
            assert (row["event"], row["pid"], row["state"]) == ("runner unreapable", held.pid, "unloading")
            booked = service.state().devices[0].used_bytes
            assert booked > 0

            reply = await service.generate("polite")
            assert reply.json()["response"] == POLITE
            assert service.state().devices[0].used_bytes == 2 * booked
            check_books(service.state())

        await service.dead(held.runner)
        assert service.state().devices[0].used_bytes == booked


def test_it_does_not_hold_up_the_end_of_the_service_which_names_it(models: Path, tmp_path: Path) -> None:
    short = limits(stop_grace_ns=NS_PER_MS, kill_grace_ns=NS_PER_MS)
    hasty = f"import service.processes; service.processes.REAP_S = 0; {PROGRAM}"  # its last attempt is not waited for
    with separate(models, tmp_path, limits=short, program=hasty) as service, freezer() as ice:
        service.generate("polite")
        runner = service.until("runner started")
        ice.freeze(runner["pid"])
        assert service.end() == 0
        row = service.until("stopped; runners that even SIGKILL did not end are left behind")
        assert (row["level"], row["runners"]) == ("error", [runner["runner"]])
    assert os.waitpid(runner["pid"], 0)[0] == runner["pid"]  # it was ours when its parent had gone


async def test_its_clients_are_not_left_waiting_for_it(settings: Settings) -> None:
    """Its link stays open for as long as it hangs. Who was told nothing is answered by another, who was is told."""
    async with faulted(settings) as service:
        with freezer() as ice:
            half = await phases.mid_answer(service)
            await give_up(service, ice, half, "wedge")
            assert "setting wedge_s" in (await half.client.end())["error"]
        await service.dead(half.runner)
        with freezer() as ice:
            none = await phases.prefill(service)
            await give_up(service, ice, none, "wedge")
            assert (await none.client.end())["done_reason"] == "length"
            assert none.client.status == 200
        await service.dead(none.runner)
