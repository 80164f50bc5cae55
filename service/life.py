"""The life of one service: one nursery, in which reactor, sampler and HTTP server are siblings.

The order of the start: the port is bound (so that a taken one is known at once), the core gets its first figures of
memory, the HTTP server answers, the core opens. The order of the end is the core's: it refuses, drains, terminates,
kills; when it lets go, HTTP gets a moment to finish its last lines and is cut. Nothing waits for HTTP.
"""

import signal
from collections.abc import Callable
from contextlib import ExitStack

import msgspec
import trio
from structlog.typing import FilteringBoundLogger

from service.aftermath import clear_up
from service.clock import SystemClock
from service.config import Settings
from service.descriptor_limit import raise_descriptor_limit
from service.desk import Desk
from service.devices.host import HostMemory
from service.devices.sampler import Sampler
from service.executor import Executor
from service.ids import RequestIds
from service.incarnation import SERVE, Surroundings
from service.journal import RingJournal
from service.listeners import Listeners
from service.metrics.counts import Counts
from service.metrics.registry import Metrics
from service.operators.health import Health
from service.operators.lookout import Lookout
from service.ports import GateOf, Processes, ungated
from service.processes import RunnerProcesses
from service.reactor import Reactor
from service.runners import Runners, unwatched
from service.spare import Spare, no_spare
from service.state.folder import StateFolder
from service.state.owner import Owner, this_process
from service.store.facts_reader import FactsReader
from service.store.models import ModelStore
from service.version import engine_version, own_version
from statemachines.events import ModelReplaced, ServiceOpened, ShutdownOrdered
from statemachines.facts import LoadKey
from statemachines.scheduler import Scheduler
from statemachines.units import RunnerId

EXIT_DONE = 0
EXIT_INTERRUPTED = 130
"""128 + SIGINT: the runners were killed on demand."""


class Ready(msgspec.Struct, frozen=True):
    """What the ready line says.

    Attributes:
        host, port: where HTTP really listens.
        models: how many there are [count].
        engine: engine and version, or an empty string when none is installed.
        threads: cores that runners share [count].
        admin: where operators are answered: an address, or ``nowhere``.
    """

    host: str
    port: int
    models: int
    engine: str
    threads: int
    admin: str = ""

    @property
    def address(self) -> str:
        return address_of(self.host, self.port)


def address_of(host: str, port: int) -> str:
    """Where HTTP is spoken, as a URL."""
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"


class Ports(msgspec.Struct, frozen=True):
    """What a fault test puts in the place of the real thing.

    Attributes:
        processes: starts runner processes.
        gate_of: where a load is held.
    """

    processes: Processes
    gate_of: GateOf = ungated


class Service:
    """The parts of one service and how its life goes.

    Args:
        ports: what talks to the system; the real things by default.

    Attributes:
        desk: what HTTP handlers are given.
        reactor: takes events to the core.
        journal: what went into the core and what came out.
        lookout: what operators may look at.
    """

    def __init__(self, settings: Settings, log: FilteringBoundLogger, ports: Ports | None = None) -> None:
        self._settings = settings
        self._log = log
        self._clock = clock = SystemClock()
        self._state = StateFolder(settings.state, log)
        self.journal = RingJournal(
            version=own_version(),
            limits=settings.limits,
            clock=clock,
            folder=self._state.journals,
            steps_max=settings.journal_steps_max,
        )
        self._core = Scheduler(settings.limits, strict=settings.strict)
        counts = Counts(Metrics(), models_max=settings.metrics_models_max)
        self.reactor = Reactor(self._core, clock=clock, journal=self.journal, witness=counts.see)
        self._ports = ports or Ports(RunnerProcesses(state=settings.state))
        self._store = self._make_store()
        engine = engine_version()
        self._spare = self._make_spare() if settings.spare and engine else None
        self.desk = Desk(
            settings=settings,
            store=self._store,
            engine=engine,
            post=self.reactor.post,
            clock=clock,
            ids=RequestIds(),
            snapshot=self._core.snapshot,
            is_key_alive=self._core.is_key_alive,
            spare=self._spare.view if self._spare else no_spare,
            log=log,
            on_first_text=counts.answers.note_first_text,
        )
        self.lookout = Lookout(
            counts=counts,
            health=Health(ask=self.reactor.ask, closed=self._core.closed, clock=clock, limit_ns=settings.health_ns),
            snapshot=self._core.snapshot,
            spare=lambda: self.desk.spare().state,
            inbox_len=lambda: self.reactor.inbox_len,
            journal=self.journal,
            clock=clock,
            limits=settings.limits,
            engine=self.desk.engine,
            followers_max=settings.followers_max,
        )
        self._sampler = Sampler(
            HostMemory(), post=self.reactor.post, clock=clock, interval_ns=settings.sample_interval_ns, log=log
        )
        self._exit_code = EXIT_DONE
        self._orders = 0
        self._draining = trio.Event()
        self._finished = trio.Event()

    def _make_store(self) -> ModelStore:
        settings, post = self._settings, self.reactor.post
        limit_ns, memory_bytes = settings.facts_limit_ns, settings.facts_memory_bytes
        return ModelStore(
            settings,
            state=self._state,
            read=FactsReader(self._ports.processes, self._log, limit_ns=limit_ns, memory_bytes=memory_bytes),
            is_key_alive=self._is_key_in_use,
            on_replaced=lambda key: post(ModelReplaced(key=key)),
            clock=self._clock,
            log=self._log,
        )

    def _make_spare(self) -> Spare:
        """Without an engine there is nothing to import, and so no spare."""
        return Spare(self._ports.processes, SERVE, limits=self._settings.limits, clock=self._clock, log=self._log)

    def _new_label(self) -> str:
        return self.desk.request_label(self.desk.next_request())

    def _is_key_in_use(self, key: LoadKey) -> bool:
        """Asked by the store, which is there before the desk."""
        return self.desk.is_key_in_use(key)

    async def run(
        self,
        *,
        on_ready: Callable[[Ready], None] | None,
        stop: trio.Event | None,
        takes_signals: bool,
        task_status: trio.TaskStatus[Ready] = trio.TASK_STATUS_IGNORED,
    ) -> int:
        """From the first bound socket to the last line; see `serve`."""
        listeners = self._listeners(raise_descriptor_limit())
        with listeners, ExitStack() as held:
            host, port = listeners.address
            before = self._state.open(this_process(address_of(host, port), self._clock.wall_ns()))
            held.callback(self._state.close)
            listeners.bind_admin(self._state.writable())
            self._store.open()
            async with trio.open_nursery() as nursery:
                await self._start(nursery, stop, before, takes_signals=takes_signals)
                await listeners.open(nursery, self.desk, self.lookout, closing=self._draining, over=self._finished)
                self.reactor.post(ServiceOpened())
                models = len(self._store.models())
                ready = Ready(host, port, models, self.desk.engine, self._threads, listeners.admin)
                self._announce(ready, on_ready, task_status)
                await self._finished.wait()
                await listeners.closed()
                nursery.cancel_scope.cancel()
        return self._exit_code

    def _listeners(self, descriptors: int) -> Listeners:
        return Listeners(self._settings, self._log, descriptors=descriptors, new_label=self._new_label)

    # The start

    async def _start(
        self, nursery: trio.Nursery, stop: trio.Event | None, before: Owner | None, *, takes_signals: bool
    ) -> None:
        """Everything but HTTP; returns when the core has its first figures of memory."""
        if takes_signals:
            await nursery.start(self._watch_signals)
        if stop is not None:
            nursery.start_soon(self._watch_stop, stop)
        await clear_up(
            before, self._settings.state, self._log
        )  # Before memory is read: what orphans hold is about to be free.
        runners = self._runners(nursery)
        nursery.start_soon(self.reactor.run, self._executor(runners).perform)
        await nursery.start(self._sampler.run, runners.pids)
        nursery.start_soon(self._store.run)
        if self._spare is not None:
            nursery.start_soon(self._spare.run)

    def _runners(self, nursery: trio.Nursery) -> Runners:
        around = Surroundings(
            self._spare or self._ports.processes,
            self.reactor.post,
            self.reactor.post_next,
            self._clock,
            self._settings,
            self._log,
            self._ports.gate_of,
            self.lookout.counts.answers.note_end,
        )
        on_loads = self._spare.loads if self._spare else unwatched
        return Runners(nursery, around, find_model=self.desk.find_model, on_loads=on_loads)

    def _executor(self, runners: Runners) -> Executor:
        return Executor(
            runners=runners,
            desk=self.desk,
            sample=self._sampler.wake,
            journal=self.journal,
            log=self._log,
            finish=self._finish,
        )

    @property
    def _threads(self) -> int:
        return self._settings.limits.cpu_threads

    def _announce(
        self, ready: Ready, on_ready: Callable[[Ready], None] | None, task_status: trio.TaskStatus[Ready]
    ) -> None:
        default = self.desk.context_default
        self._log.info("default context", tokens=default.tokens, automatic=default.is_automatic, why=default.why)
        self._log.info(
            "ready",
            address=ready.address,
            models=ready.models,
            engine=ready.engine or "none installed",
            threads=ready.threads,
            admin=ready.admin,
            version=own_version(),
        )
        if on_ready is not None:
            on_ready(ready)
        task_status.started(ready)

    # The end

    async def _watch_signals(self, *, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED) -> None:
        with trio.open_signal_receiver(signal.SIGINT, signal.SIGTERM) as numbers:
            task_status.started()
            async for number in numbers:
                self._order_shutdown(signal.Signals(number).name)

    async def _watch_stop(self, stop: trio.Event) -> None:
        await stop.wait()
        self._order_shutdown("stop")

    def _order_shutdown(self, by: str) -> None:
        """The first order drains, the second kills."""
        self._orders += 1
        is_forced = self._orders > 1
        self._log.info("stopping at once" if is_forced else "stopping", by=by)
        if is_forced:
            self._exit_code = EXIT_INTERRUPTED
        self._draining.set()
        if self._spare is not None:
            self._spare.close()
        self.reactor.post(ShutdownOrdered(force=is_forced))

    def _finish(self, unreapable: tuple[RunnerId, ...]) -> None:
        """The core has let go."""
        if unreapable:
            self._log.error("stopped; runners that even SIGKILL did not end are left behind", runners=unreapable)
        else:
            self._log.info("stopped")
        self.journal.close()
        self._finished.set()
