"""A whole service in this process, with real runner processes, in which faults are forced.

    async with faulted(settings) as service:
        gate = service.gates.hold("polite")
        asked = service.ask("polite")
        await gate.arrived()
        ...

Nothing here sleeps or polls. A test holds a load at a gate (`gates`), freezes and kills processes (`signals`), lets
clients wait in the background (`clients`), and waits for what the core says (`Faulted.until`, woken by every step).
A deadline is not sat out either: the core's clock jumps to it (`Faulted.expire`), while processes and pipes go on in
real time.

The end of the context is a check of its own (`check_sound`): whatever a test did, nobody waits, the books are
balanced, the next request is answered, the service ends with status 0, and no runner is left. A test that has stopped
the service itself (`Faulted.stop`) gets the last two.
"""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import partial
from typing import Any

import httpx
import msgspec
import trio

from service.config import Settings
from service.life import Service
from service.logs import make_log
from service.parts import Ports
from service.ports import Processes
from service.processes import RunnerProcesses
from service.ready import Ready
from statemachines.limits import Limits
from statemachines.units import NS_PER_MS
from tests.integration.faults.casting import Casting
from tests.integration.faults.faulted import Faulted, check_books
from tests.integration.faults.gates import Gates
from tests.integration.faults.models import ENDLESS, KIND, POLITE
from tests.integration.faults.watching import JumpingClock, WatchedJournal, WatchedLines

__all__ = ["ENDLESS", "HUNG_S", "KIND", "POLITE", "Faulted", "check_books", "faulted", "limits"]

HUNG_S = 60
"""Ends a hung test, nothing else."""


def limits(**changes: Any) -> Limits:
    """The product's limits, with room for many runners and hardly a pause before a load is tried again."""
    return Limits(**({"runners_max": 16, "loads_parallel_max": 8, "retry_backoff_ns": NS_PER_MS} | changes))


@asynccontextmanager
async def faulted(settings: Settings, processes: Processes | None = None) -> AsyncIterator[Faulted]:
    """A service for as long as the context lasts; sound at its end, or the test fails.

    Args:
        processes: starts its runners; the real ones by default.
    """
    with trio.fail_after(HUNG_S):
        async with trio.open_nursery() as nursery:
            service = _make(_as_cast(settings, processes), processes or RunnerProcesses(), nursery)
            service.ready = await nursery.start(_run, service)
            try:
                async with httpx.AsyncClient(base_url=service.ready.address, timeout=HUNG_S) as http:
                    service.http = http
                    yield service
                    service.gates.open_all()
                    if not service.stop.is_set():
                        await service.check_sound()
            finally:
                service.gates.open_all()
                service.stop.set()
        assert service.status == 0


def _as_cast(settings: Settings, processes: Processes | None) -> Settings:
    """Scripts are for the first loads, so none may be played by a spare."""
    is_cast = isinstance(processes, Casting)
    return msgspec.structs.replace(settings, spare=False) if is_cast else settings


def _make(settings: Settings, processes: Processes, nursery: trio.Nursery) -> Faulted:
    settings.state.mkdir(parents=True, exist_ok=True)
    lines, gates, clock = WatchedLines(), Gates(settings.state), JumpingClock()
    log = make_log(log_format="json", level="debug", stream=lines)
    service = Service(settings, log, Ports(processes, gates.gate_of, clock, WatchedJournal))
    journal = service.parts.journal
    assert isinstance(journal, WatchedJournal)
    return Faulted(service, journal, clock, lines, gates, nursery)


async def _run(faulted: Faulted, *, task_status: trio.TaskStatus[Ready]) -> None:
    run = partial(faulted.service.run, on_ready=None, stop=faulted.stop, takes_signals=False)
    faulted.status = await run(task_status=task_status)
