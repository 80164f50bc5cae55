"""The one loop that owns every decision.

Everybody else posts events and is done; the reactor alone calls the core, writes both sides down and performs what
comes out. It awaits nothing but its inbox and the next deadline. So a decision never waits, and what waits never
decides.

The inbox needs no limit of its own: each connection, task and runner has only so many events in flight, and their
number is limited where they are born. Posting therefore never refuses and never blocks, which is what lets every
supervised task post its closing event on every path.
"""

from collections import deque
from collections.abc import Callable
from typing import Protocol

import msgspec
import trio

from service.ports import Clock, Journal
from statemachines.effects import AnyEffect
from statemachines.errors import InternalError
from statemachines.events import AnyEvent, DeadlineReached

Post = Callable[[AnyEvent], None]
Perform = Callable[[AnyEffect], None]
Witness = Callable[[AnyEvent, tuple[AnyEffect, ...]], None]
"""Sees each step that was decided, before it is performed; changes nothing."""


def unwitnessed(_event: AnyEvent, _effects: tuple[AnyEffect, ...]) -> None:
    """Nobody looks."""


class Core(Protocol):
    """What decides; `statemachines.scheduler.Scheduler` in the product, a scripted one in tests."""

    def handle(self, event: AnyEvent) -> tuple[AnyEffect, ...]: ...

    def next_deadline(self) -> int | None: ...


class Probe:
    """A question to the loop itself: is anybody there? It stands in line with the events and decides nothing.

    Attributes:
        answered_at: core time of the answer [ns]; None until then.
    """

    def __init__(self) -> None:
        self.answered_at: int | None = None
        self._bell = trio.Event()

    def answer(self, at: int) -> None:
        self.answered_at = at
        self._bell.set()

    async def answered(self) -> None:
        """Return when the loop has come to it."""
        await self._bell.wait()


class Reactor:
    """Takes events one by one to the core, and its effects to whoever performs them."""

    def __init__(self, core: Core, *, clock: Clock, journal: Journal, witness: Witness = unwitnessed) -> None:
        self._core = core
        self._clock = clock
        self._journal = journal
        self._witness = witness
        self._inbox: deque[AnyEvent | Probe] = deque()
        self._bell = trio.Event()
        self._now = 0

    def post(self, event: AnyEvent) -> None:
        """Hand over a fact. Never refuses, never waits; safe in a task that is being cancelled."""
        self._inbox.append(event)
        self._bell.set()

    def ask(self) -> Probe:
        """Put a probe at the end of the inbox."""
        probe = Probe()
        self._inbox.append(probe)
        self._bell.set()
        return probe

    @property
    def inbox_len(self) -> int:
        """Events that the core has not seen yet [count]."""
        return len(self._inbox)

    def post_next(self, event: AnyEvent) -> None:
        """Hand over a fact that comes before all that waits in the inbox: it was true before any of that."""
        self._inbox.appendleft(event)
        self._bell.set()

    async def run(self, perform: Perform) -> None:
        """Work until cancelled.

        Args:
            perform: does what an effect says, without waiting.

        Raises:
            InternalError: the core or an effect failed in a way it must not; the journal has been dumped.
        """
        while True:  # One scope until a deadline comes: opening one for each event would cost every request its time.
            with trio.move_on_at(self._due()) as patience:
                while not self._is_due():
                    patience.deadline = self._due()
                    await self._bell.wait()
                    self._drain(perform)
            self._drain(perform)
            if self._is_due():
                self._step(DeadlineReached(), perform)

    def _due(self) -> float:
        return self._clock.deadline(self._core.next_deadline())

    def _drain(self, perform: Perform) -> None:
        """Handle all that is there. It ends: nothing else runs meanwhile, and few effects post at once."""
        while self._inbox:
            item = self._inbox.popleft()
            if isinstance(item, Probe):
                item.answer(self._tick())
            else:
                self._step(item, perform)
        self._bell = trio.Event()

    def _is_due(self) -> bool:
        due = self._core.next_deadline()
        return due is not None and self._clock.now_ns() >= due

    def _step(self, event: AnyEvent, perform: Perform) -> None:
        """One event in, its effects out."""
        stamped = msgspec.structs.replace(event, at=self._tick())
        try:
            for effect in self._decide(stamped):
                perform(effect)
        except Exception as error:
            self._journal.dump(f"{type(event).__name__}: {error!r}")
            raise InternalError(f"{type(event).__name__} could not be handled: {error!r}") from error

    def _decide(self, event: AnyEvent) -> tuple[AnyEffect, ...]:
        """Written down before any of it is performed, and also when the core breaks: that step is the one to see."""
        effects: tuple[AnyEffect, ...] = ()
        try:
            effects = self._core.handle(event)
        finally:
            self._journal.write(event, effects)
        self._witness(event, effects)
        return effects

    def _tick(self) -> int:
        """Core time never runs backwards, whatever the clock does."""
        self._now = max(self._now, self._clock.now_ns())
        return self._now
