"""The spare with real runner processes and the real engine."""

import os
import signal
import subprocess
import sys
from contextlib import ExitStack
from importlib.metadata import version
from pathlib import Path
from typing import Any

import msgspec
import psutil
import pytest

from service.config import Settings
from statemachines.memory import PROCESS_BYTES
from statemachines.states import RunnerState
from statemachines.units import NS_PER_MS
from tests.factory.scripted import scripted_model
from tests.integration.faults import service_phases
from tests.integration.faults.casting import Births
from tests.integration.faults.harness import POLITE, Faulted, faulted, limits
from tests.integration.faults.separate import separate
from tests.integration.faults.signals import freeze, murder

pytestmark = pytest.mark.engine


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("models")
    scripted_model(folder / "polite.gguf", POLITE)
    return folder


@pytest.fixture
def settings(models: Path, tmp_path: Path) -> Settings:
    quick = limits(spare_pause_ns=10 * NS_PER_MS, spare_backoff_ns=10 * NS_PER_MS)
    return Settings(models=models, state=tmp_path / "state", port=0, strict=True, limits=quick)


async def debug_state(service: Faulted) -> dict[str, Any]:
    state: dict[str, Any] = (await service.http.get("/debug/state")).json()["spare"]
    return state


async def test_a_cold_load_is_served_by_the_warm_spare_and_another_one_follows(settings: Settings) -> None:
    births = Births()
    async with faulted(settings, births) as service:
        spare = await births.next_pid()
        await service.said("spare warm", pid=spare)
        assert await debug_state(service) == {"state": "warm", "pid": spare}

        reply = await service.generate("polite")
        assert reply.json()["response"] == POLITE
        runner = await service.runner(RunnerState.READY)
        assert service.pid(runner.runner) == spare
        assert service.rows("runner answered")[0]["engine"] == f"llama-cpp-python {version('llama-cpp-python')}"

        following = await births.next_pid()
        assert following != spare
        await service.said("spare warm", pid=following)
        assert await debug_state(service) == {"state": "warm", "pid": following}


SPY = """
import ctypes
called = []

class Spy:
    def __init__(self, name, native):
        self.__dict__.update(_name=name, _native=native)
    def __setattr__(self, name, value):
        setattr(self._native, name, value)
        self.__dict__[name] = value
    def __call__(self, *arguments):
        called.append(self._name)
        return self._native(*arguments)

class Watched(ctypes.CDLL):
    def __getitem__(self, name):
        return Spy(name, super().__getitem__(name)) if "llama" in (self._name or "") else super().__getitem__(name)

ctypes.CDLL = Watched
from runner.llama import library, task
task.prepare()
import sys
print(*called, "numpy" in sys.modules, "llama_cpp" in sys.modules, end=" ")
library.can_offload()
print(called[-1])
"""


def test_a_spare_touches_no_device_because_it_calls_nothing_that_would() -> None:
    """The bindings ask for a constant; the last call shows that calls are seen. Nothing is imported but bindings."""
    ended = subprocess.run([sys.executable, "-P", "-c", SPY], capture_output=True, text=True, check=True)
    assert ended.stdout.split() == ["llama_max_devices", "False", "False", "llama_supports_gpu_offload"]


async def test_what_a_spare_holds_is_less_than_its_load_will_reserve_for_the_process(settings: Settings) -> None:
    births = Births()
    async with faulted(settings, births) as service:
        spare = await births.next_pid()
        await service.said("spare warm", pid=spare)
        assert 0 < psutil.Process(spare).memory_info().rss < PROCESS_BYTES


def test_a_spare_that_is_killed_in_the_middle_of_its_import_is_replaced(models: Path, tmp_path: Path) -> None:
    with ExitStack() as clients, separate(models, tmp_path, spare=True, holds_imports=True) as service:
        service_phases.spare_importing(service, clients)
        (spare,) = service.children()
        murder(spare.pid)
        assert service.until("spare none", pid=spare.pid)["exit"] == -signal.SIGKILL
        following = service.until_state(lambda state: state["spare"]["pid"])
        assert following != spare.pid


async def test_a_spare_that_is_killed_before_it_has_done_anything_is_replaced(settings: Settings) -> None:
    births = Births(freezes=True)
    async with faulted(settings, births) as service:
        spare = await births.next_pid()
        assert await debug_state(service) == {"state": "importing", "pid": spare}
        births.freezes = False
        os.kill(spare, signal.SIGKILL)
        assert (await service.said("spare none", pid=spare))["exit"] == -signal.SIGKILL
        following = await births.next_pid()
        await service.said("spare warm", pid=following)


async def test_a_spare_that_is_killed_while_it_is_warm_costs_no_request(settings: Settings) -> None:
    births = Births()
    async with faulted(settings, births) as service:
        spare = await births.next_pid()
        await service.said("spare warm", pid=spare)
        os.kill(spare, signal.SIGKILL)
        reply = await service.generate("polite")
        assert (reply.status_code, reply.json()["response"]) == (200, POLITE)


async def test_a_spare_that_stands_still_costs_no_request(settings: Settings) -> None:
    births = Births()
    async with faulted(settings, births) as service:
        spare = await births.next_pid()
        await service.said("spare warm", pid=spare)
        await freeze(spare)
        reply = await service.generate("polite")
        assert (reply.status_code, reply.json()["response"]) == (200, POLITE)
        assert (await service.said("spare none", pid=spare))["level"] == "warning"
        fresh, following = await births.next_pid(), await births.next_pid()
        assert service.pid((await service.runner(RunnerState.READY)).runner) == fresh
        await service.said("spare warm", pid=following)


async def test_without_the_setting_no_process_is_started_ahead(settings: Settings) -> None:
    births = Births()
    async with faulted(msgspec.structs.replace(settings, spare=False), births) as service:
        assert await debug_state(service) == {"state": "off", "pid": None}
        assert psutil.Process().children() == []
        await service.generate("polite")
        runner = await service.runner(RunnerState.READY)
        assert await births.next_pid() == service.pid(runner.runner)
        assert service.rows("spare importing") == []
