"""What one service is made of, and how its parts come to know one another; how they live is `service.life`."""

from collections.abc import Callable

import msgspec
import trio
from structlog.typing import FilteringBoundLogger

from service.clock import SystemClock
from service.config import Settings
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
from service.ports import Clock, GateOf, Processes, ungated
from service.processes import RunnerProcesses
from service.reactor import Reactor
from service.runners import Runners, unwatched
from service.spare import Spare, no_spare
from service.state.folder import StateFolder
from service.store.facts_reader import FactsReader
from service.store.models import ModelStore
from service.version import engine_version, own_version
from statemachines.events import ModelReplaced
from statemachines.facts import LoadKey
from statemachines.scheduler import Scheduler
from statemachines.units import RunnerId


class Ports(msgspec.Struct, frozen=True):
    """What a fault test puts in the place of the real thing.

    Attributes:
        processes: starts runner processes.
        gate_of: where a load is held.
        clock: what time it is.
        make_journal: keeps what went in and what came out.
    """

    processes: Processes
    gate_of: GateOf = ungated
    clock: Clock = msgspec.field(default_factory=SystemClock)
    make_journal: type[RingJournal] = RingJournal


class Parts:
    """The parts of one service, made and not yet alive.

    Args:
        ports: what talks to the system; the real things by default.

    Attributes:
        state: the folder of what outlives one server.
        journal: what went into the core and what came out.
        reactor: takes events to the core.
        store: which models there are.
        spare: None where none is kept.
        desk: what HTTP handlers are given.
        lookout: what operators may look at.
        sampler: reads memory.
    """

    def __init__(self, settings: Settings, log: FilteringBoundLogger, ports: Ports | None = None) -> None:
        self._settings = settings
        self._log = log
        self._ports = ports = ports or Ports(RunnerProcesses(state=settings.state))
        self.clock = ports.clock
        self.state = StateFolder(settings.state, log)
        self.journal = self._make_journal()
        self._core = Scheduler(settings.limits, strict=settings.strict)
        self._counts = Counts(Metrics(), models_max=settings.metrics_models_max)
        self.reactor = Reactor(self._core, clock=self.clock, journal=self.journal, witness=self._counts.see)
        self.store = self._make_store()
        self.spare = self._make_spare()
        self.desk = self._make_desk()
        self.lookout = self._make_lookout()
        self.sampler = Sampler(
            HostMemory(), post=self.reactor.post, clock=self.clock, interval_ns=settings.sample_interval_ns, log=log
        )

    def _make_journal(self) -> RingJournal:
        settings = self._settings
        return self._ports.make_journal(
            version=own_version(),
            limits=settings.limits,
            clock=self.clock,
            folder=self.state.journals,
            steps_max=settings.journal_steps_max,
        )

    def _make_store(self) -> ModelStore:
        settings, post = self._settings, self.reactor.post
        limit_ns, memory_bytes = settings.facts_limit_ns, settings.facts_memory_bytes
        return ModelStore(
            settings,
            state=self.state,
            read=FactsReader(self._ports.processes, self._log, limit_ns=limit_ns, memory_bytes=memory_bytes),
            is_key_alive=self._is_key_in_use,
            on_replaced=lambda key: post(ModelReplaced(key=key)),
            clock=self.clock,
            log=self._log,
        )

    def _is_key_in_use(self, key: LoadKey) -> bool:
        """Asked by the store, which is there before the desk."""
        return self.desk.is_key_in_use(key)

    def _make_spare(self) -> Spare | None:
        """Without an engine there is nothing to import, and so no spare."""
        if not self._settings.spare or not engine_version():
            return None
        return Spare(self._ports.processes, SERVE, limits=self._settings.limits, clock=self.clock, log=self._log)

    def _make_desk(self) -> Desk:
        return Desk(
            settings=self._settings,
            store=self.store,
            engine=engine_version(),
            post=self.reactor.post,
            clock=self.clock,
            ids=RequestIds(),
            snapshot=self._core.snapshot,
            is_key_alive=self._core.is_key_alive,
            spare=self.spare.view if self.spare else no_spare,
            log=self._log,
            on_first_text=self._counts.answers.note_first_text,
        )

    def _make_lookout(self) -> Lookout:
        settings, closed = self._settings, self._core.closed
        return Lookout(
            counts=self._counts,
            health=Health(ask=self.reactor.ask, closed=closed, clock=self.clock, limit_ns=settings.health_ns),
            snapshot=self._core.snapshot,
            spare=lambda: self.desk.spare().state,
            inbox_len=lambda: self.reactor.inbox_len,
            journal=self.journal,
            clock=self.clock,
            limits=settings.limits,
            engine=self.desk.engine,
            followers_max=settings.followers_max,
        )

    # What needs more than the other parts

    def listeners(self, descriptors: int) -> Listeners:
        """Where the service answers.

        Args:
            descriptors: how many this process may have [count].
        """
        return Listeners(self._settings, self._log, descriptors=descriptors, new_label=self._new_label)

    def _new_label(self) -> str:
        return self.desk.request_label(self.desk.next_request())

    def runners(self, nursery: trio.Nursery) -> Runners:
        """The incarnations, as tasks of ``nursery``."""
        around = Surroundings(
            self.spare or self._ports.processes,
            self.reactor.post,
            self.reactor.post_next,
            self.clock,
            self._settings,
            self._log,
            self._ports.gate_of,
            self._counts.answers.note_end,
        )
        on_loads = self.spare.loads if self.spare else unwatched
        return Runners(nursery, around, find_model=self.desk.find_model, on_loads=on_loads)

    def executor(self, runners: Runners, finish: Callable[[tuple[RunnerId, ...]], None]) -> Executor:
        """What performs the core's effects.

        Args:
            finish: called when the core has let go.
        """
        return Executor(
            runners=runners,
            desk=self.desk,
            sample=self.sampler.wake,
            journal=self.journal,
            log=self._log,
            finish=finish,
        )
