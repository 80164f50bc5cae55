"""The sampler: at an interval, on demand, one reading at a time, and honest about failures."""

import errno
import io
import json
import math
import threading
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager

import pytest
import trio
import trio.testing

from service.devices.sampler import Sampler
from service.logs import make_log
from statemachines.errors import DeviceError
from statemachines.events import AnyEvent, DevicesSampled
from statemachines.units import RunnerId
from tests.fakes.clock import HandClock
from tests.fakes.devices import FixedDevices


class Bench:
    """A sampler whose interval never comes by itself."""

    def __init__(self, devices: FixedDevices, clock: HandClock | None = None) -> None:
        self.lines = io.StringIO()
        self.devices = devices
        self._send, self.posted = trio.open_memory_channel[AnyEvent](math.inf)
        self.clock = clock or HandClock()
        log = make_log(log_format="json", level="debug", stream=self.lines)
        self.sampler = Sampler(devices, post=self._send.send_nowait, clock=self.clock, interval_ns=1, log=log)

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        async with trio.open_nursery() as nursery:
            await nursery.start(self.sampler.run, dict)
            yield
            nursery.cancel_scope.cancel()

    async def free_bytes(self) -> int:
        event = await self.posted.receive()
        assert isinstance(event, DevicesSampled)
        return event.samples[0].free_bytes

    def warnings(self) -> list[str]:
        rows = [json.loads(line) for line in self.lines.getvalue().splitlines()]
        return [row["error"] for row in rows if row["level"] == "warning"]


@pytest.fixture
def bench() -> Bench:
    return Bench(FixedDevices(free_bytes=1))


async def test_it_is_started_once_the_first_sample_is_posted(bench: Bench) -> None:
    async with bench.running():
        assert await bench.free_bytes() == 1


async def test_a_wake_reads_at_once(bench: Bench) -> None:
    async with bench.running():
        await bench.free_bytes()
        bench.devices.free_bytes = 2
        bench.sampler.wake()

        assert await bench.free_bytes() == 2


class Pausing(HandClock):
    """Notes until when it was to be waited, and never comes."""

    def __init__(self, now_ns: int) -> None:
        super().__init__(now_ns)
        self.dues: list[int | None] = []

    def deadline(self, due_ns: int | None) -> float:
        self.dues.append(due_ns)
        return math.inf


async def test_between_two_readings_it_waits_for_the_interval() -> None:
    clock = Pausing(100)
    log = make_log(log_format="json", level="debug", stream=io.StringIO())
    sampler = Sampler(FixedDevices(), post=lambda _event: None, clock=clock, interval_ns=50, log=log)

    async with trio.open_nursery() as nursery:
        await nursery.start(sampler.run, dict)
        await trio.testing.wait_all_tasks_blocked()
        nursery.cancel_scope.cancel()

    assert clock.dues == [150]


async def test_when_the_interval_is_over_it_reads_without_being_asked() -> None:
    class Impatient(HandClock):
        def deadline(self, due_ns: int | None) -> float:
            return -math.inf

    bench = Bench(FixedDevices(free_bytes=1), Impatient())
    async with bench.running():
        assert await bench.free_bytes() == 1
        assert await bench.free_bytes() == 1


@pytest.mark.parametrize("fault", ["the kernel is silent", OSError(errno.EMFILE, "the kernel is silent")])
async def test_a_failing_read_is_said_once_and_posts_nothing_until_it_works_again(
    bench: Bench, fault: str | OSError
) -> None:
    async with bench.running():
        await bench.free_bytes()
        for _ in range(2):
            before = bench.devices.readings
            bench.devices.fault = fault
            bench.sampler.wake()
            while bench.devices.readings == before:
                await trio.lowlevel.checkpoint()
        bench.devices.fault = None
        bench.devices.free_bytes = 5
        bench.sampler.wake()
        assert await bench.free_bytes() == 5

    assert bench.warnings() == ["the kernel is silent"]


async def test_a_first_reading_that_fails_ends_the_start() -> None:
    bench = Bench(FixedDevices())
    bench.devices.fault = "nothing to read"

    with pytest.raises(DeviceError, match="nothing to read"):
        await bench.sampler.run(dict)


class Hanging(FixedDevices):
    """A second reading that hangs until it is let go, and counts how many are in it at once."""

    def __init__(self) -> None:
        super().__init__()
        self.let_go = threading.Event()
        self.inside = 0
        self.inside_max = 0

    def sample(self, pids: Mapping[RunnerId, int]) -> DevicesSampled:
        self.inside += 1
        self.inside_max = max(self.inside_max, self.inside)
        samples = super().sample(pids)
        if self.readings == 2:
            self.let_go.wait()
        self.inside -= 1
        return samples


async def test_there_are_never_two_readings_at_once_and_a_wake_during_one_is_not_lost() -> None:
    devices = Hanging()
    bench = Bench(devices)
    async with bench.running():
        await bench.free_bytes()
        bench.sampler.wake()
        while devices.readings < 2:
            await trio.lowlevel.checkpoint()
        devices.free_bytes = 7
        bench.sampler.wake()
        bench.sampler.wake()
        devices.let_go.set()

        assert await bench.free_bytes() != 7
        assert await bench.free_bytes() == 7

    assert devices.inside_max == 1


async def test_a_reading_that_hangs_does_not_hold_up_the_end(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("service.threads.END_S", 0)
    devices = Hanging()
    bench = Bench(devices)
    try:
        async with bench.running():
            await bench.free_bytes()
            bench.sampler.wake()
            while devices.readings < 2:
                await trio.lowlevel.checkpoint()
    finally:
        devices.let_go.set()


async def test_an_ordinary_reading_is_seen_to_its_end() -> None:
    devices = Hanging()
    bench = Bench(devices)
    async with bench.running():
        await bench.free_bytes()
        bench.sampler.wake()
        while devices.readings < 2:
            await trio.lowlevel.checkpoint()
        trio.lowlevel.current_trio_token().run_sync_soon(devices.let_go.set)

    assert devices.inside == 0
