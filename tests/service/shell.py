"""The real shell around the real core, with fake processes and virtual time: what most tests of the shell need."""

import io
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import trio

from service.config import Settings
from service.desk import Desk
from service.executor import Executor
from service.front import Lease, StoredModel
from service.incarnation import Surroundings
from service.logs import make_log
from service.metrics.counts import Counts
from service.metrics.registry import Metrics
from service.reactor import Reactor
from service.runners import Runners
from statemachines.events import AnyEvent, DeviceSample, DevicesSampled, LeaseEnded, RequestFinished, ServiceOpened
from statemachines.facts import AllocationReport, LoadedFacts
from statemachines.limits import Limits
from statemachines.scheduler import Scheduler
from statemachines.units import GIB, HOST, RequestId, RunnerId
from statemachines.wire.messages import Generate, Hello, Load, Ready, TextPrompt
from tests.fakes.clock import TrioClock
from tests.fakes.ids import CountedIds
from tests.fakes.journal import ListJournal
from tests.fakes.processes import FakeProcess, FakeProcesses
from tests.fakes.store import FakeStore, stored

HUNG_S = 100_000
"""Virtual time after which nothing can be expected to happen any more."""
QUESTION = Generate(lease=0, prompt=TextPrompt("hello"))  # type: ignore[arg-type]  # filled in by the lease


def settings(**changes: Any) -> Settings:
    """Settings for tests: strict, and no folder is ever touched."""
    fields: dict[str, Any] = {"models": Path("/nowhere"), "state": Path("/nowhere"), "strict": True} | changes
    return Settings(**fields)


class LogLines(io.StringIO):
    """JSON log lines that a test reads along."""

    def rows(self, event: str | None = None) -> list[dict[str, Any]]:
        """The lines so far, all or those of one event."""
        rows = [json.loads(line) for line in self.getvalue().splitlines()]
        return [row for row in rows if event in (None, row["event"])]

    def levels(self) -> set[str]:
        """The levels of the lines so far."""
        return {row["level"] for row in self.rows()}


class Shell:
    """Everything between the handlers and the processes.

    Attributes:
        counts: what has happened in it.
        finished: what FinishShutdown said, once it came.
        loads: how many loads were under way, each time that changed.
    """

    def __init__(self, nursery: trio.Nursery, config: Settings, *models: StoredModel) -> None:
        self.lines = LogLines()
        self.log = make_log(log_format="json", level="debug", stream=self.lines)
        self.clock = TrioClock()
        self.journal = ListJournal()
        self.core = Scheduler(config.limits, strict=True)
        self.counts = Counts(Metrics(), models_max=10)
        self.reactor = Reactor(self.core, clock=self.clock, journal=self.journal, witness=self.counts.see)
        self.processes = FakeProcesses()
        self.store = FakeStore(*(models or (stored("a"), stored("b"))))
        self.desk = Desk(
            settings=config,
            store=self.store,
            engine="fake engine 1",
            post=self.reactor.post,
            clock=self.clock,
            ids=CountedIds(),
            snapshot=self.core.snapshot,
            is_key_alive=self.core.is_key_alive,
            log=self.log,
            on_first_text=self.counts.answers.note_first_text,
        )
        around = Surroundings(
            self.processes,
            self.reactor.post,
            self.reactor.post_next,
            self.clock,
            config,
            self.log,
            on_answer=self.counts.answers.note_end,
        )
        self.finished: tuple[RunnerId, ...] | None = None
        self.samples_wanted = 0
        self.loads: list[int] = []
        self.runners = Runners(nursery, around, find_model=self.desk.find_model, on_loads=self.loads.append)
        self.executor = Executor(
            runners=self.runners,
            desk=self.desk,
            sample=self._sample,
            journal=self.journal,
            log=self.log,
            finish=self._finish,
        )

    def _sample(self) -> None:
        self.samples_wanted += 1

    def _finish(self, unreapable: tuple[RunnerId, ...]) -> None:
        self.finished = unreapable

    # What a test looks at

    def events(self, kind: type) -> list[AnyEvent]:
        return [event for event in self.journal.events if type(event) is kind]

    def lease_ends(self) -> list[tuple[str, bool]]:
        return [(str(e.outcome), e.sent) for e in self.journal.events if isinstance(e, LeaseEnded)]

    def finished_requests(self) -> list[RequestId]:
        return [event.request for event in self.journal.events if isinstance(event, RequestFinished)]

    # What a test does

    @asynccontextmanager
    async def leased(self, name: str = "a", **wish: Any) -> AsyncIterator[Lease]:
        """What a handler does."""
        asked: dict[str, Any] = {"num_ctx": None, "keep_alive_ns": None} | wish
        model = self.store.find(f"{name}:latest")
        async with self.desk.lease(self.desk.next_request(), model, **asked) as lease:
            yield lease

    async def ready_process(self) -> FakeProcess:
        """The next runner, brought to READY."""
        process = await self.processes.spawned()
        await load(process)
        return process


async def load(process: FakeProcess) -> Load:
    """Greet, hear the order to load, and have loaded."""
    process.greet()
    assert isinstance(await process.hear(), Hello)
    order = await process.hear()
    assert isinstance(order, Load)
    process.say(ready(order))
    return order


def ready(order: Load) -> Ready:
    loaded = LoadedFacts(context_tokens=order.options.context_tokens, slots=1)
    return Ready(loaded, AllocationReport(), chunk_tokens=64, load_ns=1)


@asynccontextmanager
async def running(*models: StoredModel, limits: Limits | None = None, **changes: Any) -> AsyncIterator[Shell]:
    """An open service with plenty of memory."""
    config = settings(limits=limits or Limits(), **changes)
    with trio.fail_after(HUNG_S):
        async with trio.open_nursery() as nursery:
            shell = Shell(nursery, config, *models)
            nursery.start_soon(shell.reactor.run, shell.executor.perform)
            shell.reactor.post(DevicesSampled(samples=(DeviceSample(HOST, 16 * GIB, 12 * GIB, "fake"),)))
            shell.reactor.post(ServiceOpened())
            yield shell
            nursery.cancel_scope.cancel()
