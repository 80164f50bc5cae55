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
        self._told = self.end
        self._work: trio.CancelScope | None = None

    @contextmanager
    def told_to(self, act: Callable[[], None]) -> Iterator[None]:
        """Call ``act`` on each Ctrl-C instead."""
        before, self._told = self._told, act
        try:
            yield
        finally:
            self._told = before

    @contextmanager
    def ending(self) -> Iterator[None]:
        """What is in here is cancelled when the command is to end; what is around it is left in order.

        Raises:
            Interrupted: it was.
        """
        with trio.CancelScope() as self._work:
            yield
        is_ended = self._work.cancelled_caught
        self._work = None
        if is_ended:
            raise Interrupted

    def end(self) -> None:
        """End the command. A further Ctrl-C ends the process as it is: whoever presses it again will not wait.

        Raises:
            Interrupted: nothing can be left in order yet.
        """
        signal.signal(signal.SIGINT, signal.SIG_DFL)
        if self._work is None:
            raise Interrupted
        self._work.cancel()

    async def listen(self, signals: AsyncIterator[int]) -> None:
        """Pass on each signal."""
        async for _ in signals:
            self._told()


async def interruptible(work: Callable[[Interrupts], Awaitable[None]]) -> None:
    """Do ``work`` with Ctrl-C under its control.

    Raises:
        Interrupted: the user ended it.
    """
    interrupts = Interrupts()
    with trio.open_signal_receiver(signal.SIGINT) as signals, leaf_errors():
        async with trio.open_nursery() as nursery:
            nursery.start_soon(interrupts.listen, signals)
            await work(interrupts)
            nursery.cancel_scope.cancel()
