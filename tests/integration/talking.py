"""The whole service with a real engine, for as long as a synchronous conversation with it lasts."""

from collections.abc import Callable
from functools import partial
from typing import TypeVar

import trio

from service.config import Settings
from service.main import Ready, serve

HUNG_S = 60
"""Ends a hung test, nothing else."""
Result = TypeVar("Result")


async def talk(settings: Settings, conversation: Callable[[str], Result]) -> Result:
    """Hold a conversation, in a thread, with a service that lasts as long; it is told the service's address."""
    stop = trio.Event()
    with trio.fail_after(HUNG_S):
        async with trio.open_nursery() as nursery:
            ready: Ready = await nursery.start(partial(serve_until, settings, stop))
            try:
                return await trio.to_thread.run_sync(conversation, ready.address)
            finally:
                stop.set()
    raise AssertionError("unreachable: the nursery is left by returning or raising")


async def serve_until(settings: Settings, stop: trio.Event, *, task_status: trio.TaskStatus[Ready]) -> None:
    await serve(settings, stop=stop, takes_signals=False, task_status=task_status)
