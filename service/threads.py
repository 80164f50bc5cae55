"""Blocking calls beside the loop: a thread that hangs, on a dead disk say, must not keep the service from ending."""

import errno
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from typing import TypeVar

import trio

T = TypeVar("T")

NO_THREAD = "can't start new thread"
"""What Python says then, in a `RuntimeError`."""
END_S = 1
"""How long a cancelled caller waits for the thread; an ordinary call takes some milliseconds."""


class NoThread(OSError):
    """The system gives no more threads (``pids.max``, ``TasksMax``, ``ulimit -u``); one day it will again."""


@contextmanager
def thread_needed() -> Iterator[None]:
    """Around whatever starts a thread: that there is none is the system's word, and no fault of the program.

    Raises:
        NoThread: there is none.
    """
    try:
        yield
    except RuntimeError as error:
        if str(error) != NO_THREAD:
            raise
        raise NoThread(errno.EAGAIN, NO_THREAD) from error


async def in_thread(work: Callable[[], T]) -> T:
    """What ``work`` returns or raises; when cancelled, an ordinary call is seen to its end, one that hangs is left.

    Raises:
        NoThread: the system gives none.
    """
    done, token = trio.Event(), trio.lowlevel.current_trio_token()

    def body() -> T:
        try:
            return work()
        finally:
            with suppress(trio.RunFinishedError):
                token.run_sync_soon(done.set)

    await trio.lowlevel.checkpoint_if_cancelled()  # From here on the thread starts, or nothing is waited for.
    try:
        with thread_needed():
            return await trio.to_thread.run_sync(body, abandon_on_cancel=True)
    except trio.Cancelled:
        with trio.move_on_after(END_S, shield=True):
            await done.wait()
        raise
