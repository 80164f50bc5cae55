"""The spare: one runner process that is there before anybody asks, with its engine imported.

Theory of operation. `Spare` is a `Processes` port in front of another one: a spawn is answered by the process that is
ready, or else by a fresh one, and who spawns can tell the difference only by the time it takes. When the place is
filled, and when its process is given up, is decided by `statemachines.spare`; here that is done. A spare that is lost
costs nobody anything but the time it would have saved.
"""

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

import msgspec
import trio
from structlog.typing import FilteringBoundLogger

from service.environment import EnvironmentClass
from service.logs import plain_tail
from service.ports import Clock, Process, Processes, unheard
from service.spare_process import SpareProcess
from statemachines.errors import RemoteWireError
from statemachines.limits import Limits
from statemachines.spare import SPARE, SpareOrder, SparePlace, SpareState, SpareTrigger
from statemachines.table import Kind, LookupInterpreter

_TABLE = LookupInterpreter(SPARE)
_LEVELS = dict.fromkeys((SpareTrigger.LOST, SpareTrigger.DUE, SpareTrigger.FROZEN), "warning")
"""How loud the end of a spare is; what goes as it should is told at info."""


class SpareView(msgspec.Struct, frozen=True):
    """What operators are shown.

    Attributes:
        state: ``none``, ``importing`` or ``warm``; ``off`` where none is kept.
        pid: of its process, once there is one.
    """

    state: str
    pid: int | None = None


def no_spare() -> SpareView:
    """Where none is kept."""
    return SpareView("off")


class Spare:
    """One place for a process, and the door for everybody who spawns.

    Args:
        processes: starts the processes.
        kind: what the first spare is started for and with; the next one for what was ordered last.
    """

    def __init__(
        self, processes: Processes, kind: EnvironmentClass, *, limits: Limits, clock: Clock, log: FilteringBoundLogger
    ) -> None:
        self._processes = processes
        self._wanted = kind
        self._clock = clock
        self._log = log
        self._place = SparePlace(limits, clock.now_ns())
        self._current: SpareProcess | None = None
        self._bell = trio.Event()
        self._nursery: trio.Nursery

    def view(self) -> SpareView:
        """What there is at the moment."""
        return SpareView(self._place.state, self._current.pid if self._current else None)

    async def run(self) -> None:
        """Keep the place filled until cancelled, which ends the spare and whatever has been lent."""
        async with trio.open_nursery() as self._nursery:
            while True:
                due_ns = self._place.due_ns
                with trio.move_on_at(self._clock.deadline(due_ns)) as waiting:
                    await self._bell.wait()
                self._bell = trio.Event()
                if waiting.cancelled_caught and self._place.due_ns == due_ns:  # else it was put off meanwhile
                    self._fire(SpareTrigger.DUE)

    # Everybody who spawns

    def loads(self, count: int) -> None:
        """How many loads are under way, said whenever it changes."""
        self._fire(SpareTrigger.LOADS_BEGAN if count else SpareTrigger.LOADS_ENDED)

    def close(self) -> None:
        """The service stops: start no process any more. What there is ends with `run`."""
        self._fire(SpareTrigger.CLOSED)

    @asynccontextmanager
    async def spawn(
        self, kind: EnvironmentClass, *, on_line: Callable[[str], None] = unheard
    ) -> AsyncIterator[Process]:
        """See `service.ports.Processes.spawn`."""
        spare = self._take(kind)
        if spare is not None:
            async with spare.lend(on_line) as lent:
                if lent is not None:
                    yield lent
                    return
        async with self._processes.spawn(kind, on_line=on_line) as process:
            yield process

    def _take(self, kind: EnvironmentClass) -> SpareProcess | None:
        """The spare, if there is one that will do. It is the caller's from this moment on.

        (1) One that has just died is told about by its own task, and until then it is no use to anybody.
        (2) One that is stopped would hold up the load; (3) one of another class would load on the wrong device.
        """
        spare, self._wanted = self._current, kind
        if spare is None or spare.has_ended:  # (1)
            return None
        if spare.is_stopped:  # (2)
            self._fire(SpareTrigger.FROZEN)
        elif spare.kind != kind:  # (3)
            self._fire(SpareTrigger.MISFIT)
        else:
            self._fire(SpareTrigger.TAKEN)
            return spare
        return None

    # The place

    def _fire(self, trigger: SpareTrigger, **fields: object) -> None:
        orders: list[SpareOrder] = []
        spare = self._current
        outcome = _TABLE.fire(self._place, trigger, orders, self._clock.now_ns())
        if outcome.target is SpareState.NONE:
            self._current = None
        if spare is not None and outcome.kind is Kind.GO:
            spare.say(_LEVELS.get(trigger, "info"), f"spare {outcome.target}", why=outcome.why, **fields)
        for order in orders:
            self._perform(order, spare)
        self._bell.set()

    def _perform(self, order: SpareOrder, spare: SpareProcess | None) -> None:
        if order is SpareOrder.START:
            self._start()
        elif spare is not None:
            spare.drop()

    def _start(self) -> None:
        self._current = spare = SpareProcess(
            self._wanted, on_greeted=self._hear_greeting, clock=self._clock, log=self._log
        )
        spare.say("debug", "spare importing")
        self._nursery.start_soon(self._keep, spare, name="spare")

    def _hear_greeting(self, spare: SpareProcess) -> None:
        if spare is self._current:
            self._fire(SpareTrigger.GREETED)

    async def _keep(self, spare: SpareProcess) -> None:
        """Own one process to its end. What has been taken or given up is nobody's loss."""
        fields: dict[str, object] = {}
        try:
            await spare.run(self._processes)
        except (OSError, RemoteWireError) as error:
            fields["reason"] = str(error)
        if spare.exit is not None:
            fields = {"exit": spare.exit.status, "was_out_of_memory": spare.exit.was_out_of_memory}
            fields["stderr"] = plain_tail(spare.exit.stderr_tail)
        if spare is self._current:
            self._fire(SpareTrigger.LOST, **fields)
