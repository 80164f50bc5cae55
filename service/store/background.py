"""Long computations that must not be noticed: in a thread of their own, with the lowest priority the system gives.

Why not trio's threads: they are reused, and a priority that was lowered cannot be raised again without privileges.
"""

import contextlib
import os
import sys
import threading
from collections.abc import Callable
from typing import Generic, TypeVar

import msgspec
import trio

from service.threads import thread_needed

T = TypeVar("T")

LOWEST_PRIORITY = 19
STOP_S = 1
"""How long a cancelled caller waits for the thread to notice; one that hangs on a dead disk is left behind."""


class _Job(msgspec.Struct, Generic[T]):
    """What caller and thread share: one flag from the caller, one answer from the thread."""

    is_unwanted: bool = False
    result: T | None = None
    error: Exception | None = None


async def in_background(work: Callable[[Callable[[], bool]], T]) -> T | None:
    """Run ``work`` in a quiet thread; it gets a function that says whether nobody wants its result any more.

    Raises:
        NoThread: the system gives none.
        Exception: what ``work`` raised.
    """
    job: _Job[T] = _Job()
    done = trio.Event()
    token = trio.lowlevel.current_trio_token()

    def body() -> None:
        _lower_priority()
        try:
            job.result = work(lambda: job.is_unwanted)
        except Exception as error:
            job.error = error
        with contextlib.suppress(trio.RunFinishedError):
            token.run_sync_soon(done.set)

    with thread_needed():
        threading.Thread(target=body, name="roundhouse-background", daemon=True).start()
    try:
        await done.wait()
    finally:
        job.is_unwanted = True
        with trio.move_on_after(STOP_S, shield=True):
            await done.wait()
    if job.error is not None:
        raise job.error
    return job.result


def _lower_priority() -> None:
    """Of this thread only; elsewhere than on Linux the number of a thread is no process to the system."""
    if sys.platform == "linux":
        with contextlib.suppress(OSError):
            os.setpriority(os.PRIO_PROCESS, threading.get_native_id(), LOWEST_PRIORITY)
