"""Ctrl-C, as a fact that somebody owns instead of an exception that strikes anywhere.

An embedded server shares the event loop with the command; an exception raised wherever the loop happens to be could
strike the scheduler in the middle of a step.
"""

import signal
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import contextmanager

import trio

from service.cli.exits import Interrupted, leaf_errors


class Interrupts:
    """Who is told of the next Ctrl-C: whoever asked last, else the command ends."""

    def __init__(self) -> None:
        self._told = _end

    @contextmanager
    def told_to(self, act: Callable[[], None]) -> Iterator[None]:
        """Call ``act`` on each Ctrl-C instead; what it raises ends the command."""
        before, self._told = self._told, act
        try:
            yield
        finally:
            self._told = before

    async def listen(self, signals: AsyncIterator[int]) -> None:
        """Pass on each signal."""
        async for _ in signals:
            self._told()


async def interruptible(work: Callable[[Interrupts], Awaitable[None]]) -> None:
    """Do ``work`` with Ctrl-C under its control.

    Raises:
        Interrupted: the user ended it. From then on a further Ctrl-C ends the process as it is: whoever presses it
            again does not want to wait for anything to be put away.
    """
    interrupts = Interrupts()
    with trio.open_signal_receiver(signal.SIGINT) as signals, leaf_errors():
        async with trio.open_nursery() as nursery:
            nursery.start_soon(interrupts.listen, signals)
            await work(interrupts)
            nursery.cancel_scope.cancel()


def _end() -> None:
    signal.signal(signal.SIGINT, signal.SIG_DFL)
    raise Interrupted
