"""Memory that really runs out, by a limit on the address space and by the kernel's hand: typed, with the sums, once."""

import re
import signal
import subprocess
import sys
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import httpx
import msgspec
import psutil
import pytest
import trio

from service.config import Settings
from statemachines.effects import SpawnRunner
from statemachines.states import RunnerState
from statemachines.units import GIB, KIB, MIB, format_bytes
from tests.control_groups import ControlGroup, small_group
from tests.factory.model_file import Shape
from tests.factory.random_model import random_model
from tests.integration.faults import phases
from tests.integration.faults.confined import Confined
from tests.integration.faults.harness import Faulted, faulted

WIDE = {"num_ctx": 1 << 16}
"""With this context the cache of ``wide`` takes 256 MiB, and all else that a runner has hardly 100."""
GROUP_BYTES = 128 * MIB
UNITS = {"B": 1, "KiB": KIB, "MiB": MIB, "GiB": GIB}


@pytest.fixture(scope="module")
def wide(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("wide")
    shape = Shape(layers=1, heads=8, kv_heads=8, head_length=128, context_tokens=WIDE["num_ctx"])
    random_model(folder / "wide.gguf", shape=shape)
    return folder / "wide.gguf"


@pytest.fixture
def settings(settings: Settings, tmp_path: Path, wide: Path) -> Settings:
    """Without a spare, which would have been started before any limit was set."""
    models = tmp_path / "models"
    models.mkdir()
    for file in (*settings.models.iterdir(), wide):
        (models / file.name).symlink_to(file)
    return msgspec.structs.replace(settings, models=models, spare=False)


@pytest.fixture
def group() -> Iterator[ControlGroup]:
    with small_group(GROUP_BYTES) as made:
        yield made


@asynccontextmanager
async def confining(settings: Settings) -> AsyncIterator[tuple[Faulted, Confined]]:
    """A service with one idle model, whose next runners can be confined."""
    processes = Confined()
    async with faulted(settings, processes) as service:
        await service.generate("polite")
        yield service, processes


async def address_space_of_a_runner(service: Faulted) -> int:
    runner = await service.runner(RunnerState.READY, model="polite")
    return int(psutil.Process(service.pid(runner.runner)).memory_info().vms)


def check_refused(reply: httpx.Response, limit: str) -> None:
    """The refusal is typed, and its figures are the real ones."""
    assert (reply.status_code, reply.headers["Retry-After"]) == (503, "30")
    message = reply.json()["error"]
    assert f"its process may have at most {limit}; ask for a smaller num_ctx" in message
    assert re.search(r"; [\d.]+ GiB were free for it when its load began, and memory ran out all the same", message)
    total, terms = re.match(r"the model needs about (\S+ \S+) of memory \((.*?)\); ", message).groups()  # type: ignore[union-attr]  # fails the test
    needed = [float(number) * UNITS[unit] for number, unit in re.findall(r"([\d.]+) ([KMG]?i?B)\b", terms)]
    assert "KV cache 256.0 MiB (65536 tokens x 1 slot)" in terms
    assert format_bytes(round(sum(needed))) == total


def loads_of(service: Faulted, model: str) -> list[SpawnRunner]:
    return [order for order in service.effects(SpawnRunner) if order.model == f"{model}:latest"]


@pytest.mark.skipif(sys.platform != "linux", reason="a limit on the address space holds on Linux only")
@pytest.mark.parametrize("percent", [10, 50, 90])
async def test_b04_an_engine_that_gets_no_memory_is_refused_with_the_sums(settings: Settings, percent: int) -> None:
    async with confining(settings) as (service, processes):
        limit_bytes = await address_space_of_a_runner(service) + 256 * MIB * percent // 100
        processes.address_space_bytes = limit_bytes
        reply = await service.generate("wide", options=WIDE)
        processes.address_space_bytes = None
        check_refused(reply, f"{format_bytes(limit_bytes)}, a limit of its address space")
        assert len(loads_of(service, "wide")) == 1
        assert (await service.generate("wide", options={**WIDE, "num_predict": 1})).status_code == 200


async def test_b04_a_runner_that_the_kernel_kills_for_memory_is_refused_with_the_sums(
    settings: Settings, group: ControlGroup
) -> None:
    async with confining(settings) as (service, processes):
        processes.group = group
        reply = await service.generate("wide", options=WIDE)
        check_refused(reply, f"{format_bytes(GROUP_BYTES)}, a limit of its control group")
        assert group.killed
        assert len(loads_of(service, "wide")) == 1
        (row,) = service.rows("runner ended by itself")
        assert (row["level"], row["exit"], row["was_out_of_memory"]) == ("error", -signal.SIGKILL, True)
        # What is small enough is served there.
        assert (await service.generate("kind")).status_code == 200


async def test_b04_everybody_who_waits_for_such_a_load_is_told_and_nobody_loads_it_again(
    settings: Settings, group: ControlGroup
) -> None:
    async with confining(settings) as (service, processes):
        processes.group = group
        gate = service.gates.hold("wide")
        crowd = [service.ask("wide", options=WIDE) for _ in range(3)]
        await gate.arrived()
        await service.until(lambda view: len(view.requests) == len(crowd))
        gate.open()
        ends: list[dict[str, Any]] = [await asked.end() for asked in crowd]
        assert {asked.status for asked in crowd} == {503}
        assert len({end["error"] for end in ends}) == 1
        assert len(loads_of(service, "wide")) == 1
        assert group.killed


HOG = """
import sys
open(sys.argv[1], "w").write("0")
print(flush=True)
sys.stdin.readline()
held = b"x" * (100 << 20)
print(flush=True)
sys.stdin.readline()
"""


@pytest.fixture
def hog(group: ControlGroup) -> Iterator["subprocess.Popen[str]"]:
    """A process of that group that takes most of its memory when it is told to."""
    command = [sys.executable, "-c", HOG, str(group.procs)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        process.stdout.readline()
        yield process
        process.communicate("\n")


async def test_b04_a_runner_is_the_first_to_go_when_others_take_the_memory_and_is_known_for_that(
    settings: Settings, group: ControlGroup, hog: "subprocess.Popen[str]"
) -> None:
    assert hog.stdin is not None
    assert hog.stdout is not None
    async with confining(settings) as (service, processes):
        processes.group = group
        held = await phases.mid_answer(service)
        processes.group = None
        hog.stdin.write("\n")
        hog.stdin.flush()
        end = await held.client.end()
        assert end["error"].startswith("memory ran out while the model answered, and its runner was ended: it holds")
        assert "a limit of its control group; ask for a smaller num_ctx" in end["error"]
        await service.dead(held.runner)
        (row,) = service.rows("runner ended by itself", runner=held.runner)
        assert (row["exit"], row["was_out_of_memory"]) == (-signal.SIGKILL, True)
        assert group.killed
        await trio.to_thread.run_sync(hog.stdout.readline)  # it has got what it wanted, or was the next to go
