"""What a server that ended without stopping has left behind: cleared up by the next one, and said in one line."""

from collections.abc import Sequence
from contextlib import suppress
from functools import partial
from pathlib import Path

import psutil
import trio
from structlog.typing import FilteringBoundLogger

from service.orphans import end_orphans, find_orphans
from service.state.owner import Owner
from service.threads import NoThread, in_thread

LOOK_S = 10
"""How long the start waits for both; the system can hold up a look at a process that hangs in it."""


async def clear_up(before: Owner | None, state: Path, log: FilteringBoundLogger) -> None:
    """End orphaned runners; say which, and which server it was, if anything was left.

    Args:
        before: the server whose signature was still in the state folder.
        state: that folder.
    """
    known = {} if before is None else before.words()
    orphans: Sequence[psutil.Process] = ()
    has_looked = False
    with trio.move_on_after(LOOK_S), suppress(NoThread):
        orphans = await in_thread(partial(find_orphans, state))
        remaining = await in_thread(partial(end_orphans, orphans))
        known |= _pids(orphans, remaining)
        has_looked = True
    if not has_looked:
        log.warning("processes could not be looked through for runners that a dead server may have left", **known)
    elif before is not None:
        log.warning("the server before this one ended without stopping", **known)
    elif orphans:
        log.warning("a server that is gone has left runners", **known)


def _pids(orphans: Sequence[psutil.Process], remaining: Sequence[psutil.Process]) -> dict[str, object]:
    ended = {"runners_ended": [orphan.pid for orphan in orphans if orphan not in remaining]}
    return ended | ({"runners_unreapable": [orphan.pid for orphan in remaining]} if remaining else {})
