"""What a service is given instead of its clock, log and journal, for tests that move time and wait for what is told."""

from typing import Any

import trio

from service.clock import SystemClock
from service.journal import RingJournal
from statemachines.effects import AnyEffect
from statemachines.events import AnyEvent
from tests.service.shell import LogLines


class JumpingClock(SystemClock):
    """The real clock, and as far ahead of it as a test wants."""

    def __init__(self) -> None:
        self._ahead_ns = 0

    def now_ns(self) -> int:
        return super().now_ns() + self._ahead_ns

    def jump(self, ns: int) -> None:
        self._ahead_ns += ns


class WatchedLines(LogLines):
    """A log that wakes whoever waits for its next line."""

    def __init__(self) -> None:
        super().__init__()
        self._told = trio.Event()

    def write(self, text: str) -> int:
        written = super().write(text)
        self._told.set()
        self._told = trio.Event()
        return written

    async def told(self) -> None:
        """Return after the next line."""
        await self._told.wait()


class WatchedJournal(RingJournal):
    """A journal that wakes whoever waits for the next step."""

    def __init__(self, **fields: Any) -> None:
        super().__init__(**fields)
        self._stepped = trio.Event()

    def write(self, event: AnyEvent, effects: tuple[AnyEffect, ...]) -> None:
        super().write(event, effects)
        self._stepped.set()
        self._stepped = trio.Event()

    async def stepped(self) -> None:
        """Return after the next step; its effects have been performed by then."""
        await self._stepped.wait()
