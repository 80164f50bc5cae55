"""Reads along in the journal: what is there, then what comes, as fast as the reader goes.

Theory of operation. A reader owns nothing but the number of the step that it wants next; the steps stay in the
journal's ring. One who is slower than the service finds that the ring has moved on: it is told how many steps it
missed, and goes on with the oldest that is left. So no reader costs memory, and none holds anybody up.
"""

from collections import deque
from collections.abc import Callable

import msgspec
import trio

from service.journal import RingJournal
from service.operators.interest import Interest
from statemachines.journal import Entry
from statemachines.snapshot import StateView

SCAN_STEPS = 200
"""Steps that are looked at before others have their turn [count]; about a millisecond."""


class Numbered(msgspec.Struct, frozen=True):
    """A step with its number."""

    number: int
    entry: Entry


class Missed(msgspec.Struct, frozen=True):
    """Steps that were gone from the ring before they were read.

    Attributes:
        steps: how many [count]; None when nobody knows, because they are of an earlier start of the service.
    """

    steps: int | None


class Tail:
    """One reader.

    Args:
        snapshot: the core now, for an interest in a model.
    """

    def __init__(self, journal: RingJournal, interest: Interest, snapshot: Callable[[], StateView]) -> None:
        self._journal = journal
        self._interest = interest
        self._next = journal.written + 1
        interest.learn(snapshot())

    async def latest(self, steps_max: int) -> list[Numbered]:
        """The last steps of interest that there are; the reader goes on behind them."""
        journal = self._journal
        self._next = max(journal.oldest, journal.written - steps_max + 1) if self._interest.is_all else journal.oldest
        found: deque[Numbered] = deque(maxlen=steps_max)
        while not self.is_at_end:
            found.extend(self.take())
            await trio.lowlevel.checkpoint()
        return list(found)

    async def go_on_after(self, number: int) -> None:
        """Continue behind a step that was read before; a number that was never given out is the latest.

        An interest that learns reads again what is left of the steps up to there, or it would not know whom they named.
        """
        target = min(number, self._journal.written) + 1
        if self._interest.learns:
            self.go_to_oldest()
            while self._next < target:
                self.take()
                await trio.lowlevel.checkpoint()
        self._next = target

    def go_to_oldest(self) -> None:
        self._next = self._journal.oldest

    @property
    def is_at_end(self) -> bool:
        """Nothing is left to read at this moment."""
        return self._next > self._journal.written

    @property
    def is_over(self) -> bool:
        """Nothing will come any more."""
        return self.is_at_end and self._journal.is_closed

    def missed(self) -> Missed | None:
        """What is gone since the last `take`; the reader goes on behind it."""
        steps = self._journal.oldest - self._next
        if steps <= 0:
            return None
        self.go_to_oldest()
        return Missed(steps)

    def take(self) -> list[Numbered]:
        """The next steps of interest among the next `SCAN_STEPS` that there are."""
        self._next = max(self._next, self._journal.oldest)
        entries = self._journal.read(self._next, SCAN_STEPS)
        first, self._next = self._next, self._next + len(entries)
        return [Numbered(number, entry) for number, entry in enumerate(entries, first) if entry in self._interest]

    async def wait(self) -> None:
        """Return when there is more to read, or when there will be no more."""
        await self._journal.wait_past(self._next - 1)
