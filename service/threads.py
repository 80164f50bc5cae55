"""Blocking calls beside the loop: a thread that hangs, on a dead disk say, must not keep the service from ending."""

from collections.abc import Callable
from contextlib import suppress
from typing import TypeVar

import trio

T = TypeVar("T")

END_S = 1
"""How long a cancelled caller waits for the thread; an ordinary call takes some milliseconds."""


async def in_thread(work: Callable[[], T]) -> T:
    """What ``work`` returns or raises; when cancelled, an ordinary call is seen to its end, one that hangs is left."""
    done, token = trio.Event(), trio.lowlevel.current_trio_token()

    def body() -> T:
        try:
            return work()
        finally:
            with suppress(trio.RunFinishedError):
                token.run_sync_soon(done.set)

    await trio.lowlevel.checkpoint_if_cancelled()  # From here on the thread is sure to start.
    try:
        return await trio.to_thread.run_sync(body, abandon_on_cancel=True)
    except trio.Cancelled:
        with trio.move_on_after(END_S, shield=True):
            await done.wait()
        raise
