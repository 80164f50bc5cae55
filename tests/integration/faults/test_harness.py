"""The harness itself: what it forces really happens, and what it checks can fail."""

from pathlib import Path

import msgspec
import pytest

from service.config import Settings
from statemachines.events import LoadProgressed
from statemachines.states import RunnerState
from tests.integration.faults.gates import Gate
from tests.integration.faults.harness import POLITE, faulted, limits
from tests.integration.faults.signals import freeze, thaw


async def test_a_gate_holds_a_load_until_it_is_opened(settings: Settings) -> None:
    async with faulted(settings) as service:
        gate = service.gates.hold("polite")
        asked = service.ask("polite")
        await gate.arrived()
        loading = await service.runner(RunnerState.LOADING)
        assert service.events(LoadProgressed) == []
        assert not asked.lines
        gate.open()
        await asked.end()
        assert asked.text == POLITE
        assert (await service.runner(RunnerState.READY)).runner == loading.runner


async def test_a_frozen_runner_says_nothing_until_it_is_thawed(settings: Settings) -> None:
    async with faulted(settings) as service:
        await service.generate("polite")
        pid = service.pid((await service.runner(RunnerState.READY)).runner)
        await freeze(pid)
        asked = service.ask("polite")
        await service.until(lambda view: [one for one in view.runners if one.leases])
        assert not asked.lines
        thaw(pid)
        await asked.end()
        assert asked.text == POLITE


async def test_a_service_that_is_not_sound_at_the_end_fails_the_test(settings: Settings) -> None:
    with pytest.RaisesGroup(pytest.RaisesExc(AssertionError), flatten_subgroups=True):
        async with faulted(msgspec.structs.replace(settings, limits=limits(host_budget_bytes=1))):
            pass  # nothing can be loaded, so the last request is refused


async def test_a_deadline_comes_when_it_is_wanted_and_no_process_notices(settings: Settings) -> None:
    async with faulted(settings) as service:
        await service.generate("polite")
        ready = await service.runner(RunnerState.READY)
        await service.expire("idle", runner=ready.runner)
        await service.dead(ready.runner)
        (row,) = service.rows("runner ended", runner=ready.runner)
        assert row["exit"] == 0


def test_a_gate_that_was_opened_holds_nobody(tmp_path: Path) -> None:
    gate = Gate(tmp_path / "gate")
    gate.open()
    gate.open()
    assert gate.path.read_bytes() == b""
