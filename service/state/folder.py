"""The state folder: what outlives one server. Nothing in it is needed to serve.

Theory of operation. One server at a time writes there: the one that holds the lock. It brings the folder to its own
format, signs it, and removes its signature when it ends in order. A server that finds the lock taken reads what is
there, writes nothing, and names the holder; it asks again from time to time, in a thread since disks may be slow, and
clears up behind the other one once it has the folder. Where the disk or its rights are against it, nothing is written
either, and it asks again in the same way: a full disk has room one day. Both are said once, and cost caches only. A
folder of a newer format is the one thing that is refused, before anything is touched.
"""

from collections.abc import Awaitable, Callable
from enum import Enum
from functools import partial
from pathlib import Path

import trio
from structlog.typing import FilteringBoundLogger

from service.ports import Clock
from service.state import owner
from service.state.files import read_whole, replace_whole
from service.state.formats import migrate, read_format, refuse_newer
from service.state.lock import FileLock
from service.state.owner import OWNER_BYTES_MAX, OWNER_FILE, Owner
from service.threads import in_thread
from statemachines.errors import ConfigError
from statemachines.units import NS_PER_S

LOCK_FILE = "lock"
JOURNALS = "journals"
ASK_AGAIN_NS = 10 * NS_PER_S
"""Between two questions whether the server that has the folder has ended."""


class Standing(Enum):
    """What we may do with the folder."""

    CLOSED = "closed"
    OURS = "ours"
    TAKEN = "taken"
    UNUSABLE = "unusable"
    NEWER = "newer"


_MAY_CHANGE = (Standing.TAKEN, Standing.UNUSABLE)


class StateFolder:
    """One server's hold on one folder.

    Args:
        folder: made when it is opened.
    """

    def __init__(self, folder: Path, log: FilteringBoundLogger) -> None:
        self._folder = folder
        self._log = log
        self._lock: FileLock | None = None
        self._standing = Standing.CLOSED
        self._us: Owner | None = None
        self._is_failing = False

    def __repr__(self) -> str:
        return f"<StateFolder {self._folder} {self._standing.value}>"

    # Opening and closing

    def open(self, us: Owner) -> Owner | None:
        """Take the folder if it is free; the server that had it before, if that one ended without closing it.

        Raises:
            ConfigError: a newer Roundhouse has written it.
        """
        self._us = us
        try:
            self._lock, before = self._take()
        except BlockingIOError:
            self._stand_aside()
        except OSError as error:
            self._give_up(error)
        else:
            self._standing = Standing.OURS
            return before
        return None

    def close(self) -> None:
        """Take our signature back and let go."""
        if self._lock is not None:
            try:
                (self._folder / OWNER_FILE).unlink(missing_ok=True)
            except OSError as error:
                self._complain(error)
            self._lock.close()
        self._lock, self._standing = None, Standing.CLOSED

    async def take_over(self, clear_up: Callable[[Owner | None], Awaitable[None]], clock: Clock) -> None:
        """Wait for the folder while another server has it, or while it cannot be used; return when that is settled.

        Args:
            clear_up: told whose signature was still there when the folder became ours.
        """
        while self._standing in _MAY_CHANGE:
            with trio.move_on_at(clock.deadline(clock.now_ns() + ASK_AGAIN_NS)):
                await trio.sleep_forever()
            await self._ask_again(clear_up)

    async def _ask_again(self, clear_up: Callable[[Owner | None], Awaitable[None]]) -> None:
        try:
            before = await in_thread(self._take_unless_closed)
        except BlockingIOError:
            if self._standing is not Standing.TAKEN:
                self._stand_aside()
        except ConfigError as error:
            self._standing = Standing.NEWER
            self._log.warning("the state folder was changed by a newer server", why=str(error))
        except OSError as error:
            if self._standing is not Standing.UNUSABLE:
                self._give_up(error)
        else:
            self._standing = Standing.OURS
            self._log.info("this server has the state folder now", folder=str(self._folder))
            await clear_up(before)

    def _take(self) -> tuple[FileLock, Owner | None]:
        """Make it, lock it, bring it to our format, sign it; the lock, and who had signed it before."""
        assert self._us is not None
        self._folder.mkdir(parents=True, exist_ok=True)
        refuse_newer(self._folder, read_format(self._folder))  # Before the lock's file is made in it.
        lock = FileLock(self._folder / LOCK_FILE)
        try:
            number = read_format(self._folder)  # Again: whoever had the lock until now may have changed it.
            refuse_newer(self._folder, number)
            migrate(self._folder, number)
            before = self._signature()
            replace_whole(self._folder / OWNER_FILE, owner.encode(self._us))
        except BaseException:
            lock.close()
            raise
        return lock, before

    def _take_unless_closed(self) -> Owner | None:
        """In a thread, whose caller may be gone: `close` lets go of what was taken before it, this of the rest."""
        lock, before = self._take()
        if self._standing is Standing.CLOSED:
            (self._folder / OWNER_FILE).unlink(missing_ok=True)
            lock.close()
        else:
            self._lock = lock
        return before

    def _signature(self) -> Owner | None:
        try:
            return owner.decode(read_whole(self._folder / OWNER_FILE, bytes_max=OWNER_BYTES_MAX))
        except OSError:
            return None

    def _stand_aside(self) -> None:
        self._standing = Standing.TAKEN
        holder = self._signature()
        known = holder.words() if holder is not None and holder.process.is_alive else {"pid": "unknown"}
        self._log.warning(
            "another server has the state folder: this one reads it and writes nothing there",
            folder=str(self._folder),
            **known,
        )

    def _give_up(self, error: OSError) -> None:
        self._standing = Standing.UNUSABLE
        self._log.warning(
            "the state folder cannot be used: until it can, digests and journals end with this run",
            folder=str(self._folder),
            why=error.strerror or str(error),
        )

    # Reading and writing

    def read(self, name: str, *, bytes_max: int) -> bytes | None:
        """A file's content; None when there is none.

        Raises:
            OSError: it is there and cannot be read, or is too large.
        """
        if self._standing is Standing.CLOSED:
            return None
        try:
            return read_whole(self._folder / name, bytes_max=bytes_max)
        except (FileNotFoundError, NotADirectoryError):
            return None

    async def write(self, name: str, data: bytes) -> None:
        """Replace a file, if that can be done; that it cannot is said once, until it could."""
        if self._standing is not Standing.OURS:
            return
        try:
            await in_thread(partial(replace_whole, self._folder / name, data))
        except OSError as error:
            self._complain(error)
        else:
            self._is_failing = False

    def journals(self) -> Path | None:
        """Where journals may be written; None when nothing may."""
        folder = self.writable()
        return None if folder is None else folder / JOURNALS

    def writable(self) -> Path | None:
        """The folder itself; None when nothing may be written there."""
        return self._folder if self._standing is Standing.OURS else None

    def _complain(self, error: OSError) -> None:
        if not self._is_failing:
            self._log.warning("the state folder takes nothing", folder=str(self._folder), why=error.strerror)
        self._is_failing = True
