"""Lines for standard error: written at once or dropped and counted, never waited for.

Standard error is often a pipe. One whose reader has stopped takes some 64 KiB and then holds whoever writes to it, and
here that would be the one loop that serves everybody. So before each piece the system is asked whether there is room
for it: a piece is no larger than what a pipe with any room takes whole. The kernel's buffer is the only queue. A file
on a disk always has room, and may then turn out to be full. A terminal (a connection that hangs, a window that is
frozen) has room for half a piece and then holds the writer, so it is opened once more, in a way that does not wait: on
the descriptor that we were given that would be a setting for everybody who has the terminal.
"""

import os
import select
import weakref
from collections.abc import Callable
from contextlib import suppress
from typing import TextIO

PIECE_BYTES = select.PIPE_BUF


def untold(_lost: int) -> None:
    """For those who do not want to hear of lines that were lost."""


class LineWriter:
    """Writes lines to a stream that may be full, deaf or gone.

    Args:
        on_gap: told how many lines were lost, before the next one that has a chance to be written; it may write.

    Attributes:
        lost: lines that could not be written, of which nobody has been told [count].
    """

    def __init__(self, stream: TextIO, on_gap: Callable[[int], None] = untold) -> None:
        self.lost = 0
        self._stream = stream
        self._fd = _descriptor(stream)
        if self._fd is not None and os.isatty(self._fd):
            self._fd = self._open_once_more(self._fd)
        self._on_gap = on_gap
        self._is_torn = False
        self._written = 0

    def _open_once_more(self, fd: int) -> int:
        try:
            fresh = os.open(os.ttyname(fd), os.O_WRONLY | os.O_NONBLOCK | os.O_NOCTTY)
        except OSError:  # Somebody else's terminal (su): better one that may wait than none.
            return fd
        weakref.finalize(self, os.close, fresh)
        return fresh

    def write(self, line: str) -> None:
        """One line with its end. Whatever becomes of it, this returns."""
        if self.lost:
            self._tell_gap()
        if self._put(line):
            self._written += 1
        else:
            self.lost += 1

    def _tell_gap(self) -> None:
        lost, written = self.lost, self._written
        self.lost = 0
        self._on_gap(lost)
        if self._written == written:
            self.lost = lost  # Not even that could be said.

    def _put(self, line: str) -> bool:
        """Whether all of it was written."""
        if self._fd is None:
            return self._put_into_memory(line)
        data = (b"\n" if self._is_torn else b"") + line.encode("utf-8", "backslashreplace")
        rest = self._put_pieces(self._fd, data)
        if len(rest) < len(data):
            self._is_torn = bool(rest)
        return not rest

    def _put_pieces(self, fd: int, data: bytes) -> bytes:
        """What could not be written of it."""
        try:
            while data and _has_room(fd):
                data = data[os.write(fd, data[:PIECE_BYTES]) :]
        except BrokenPipeError:
            with suppress(OSError):  # No descriptor is left for that now: the next line tries again.
                self._look_away(fd)
        except OSError:
            return data
        return data

    def _look_away(self, fd: int) -> None:
        """The reader is gone for good, for all who write there: Python itself would make exit status 120 of it."""
        with open(os.devnull, "wb") as nothing:
            os.dup2(nothing.fileno(), fd)

    def _put_into_memory(self, line: str) -> bool:
        try:
            self._stream.write(line)
            self._stream.flush()
        except (OSError, ValueError):
            return False
        return True


def _descriptor(stream: TextIO) -> int | None:
    """None for a stream that the system does not know."""
    try:
        return stream.fileno()
    except (OSError, ValueError):
        return None


def _has_room(fd: int) -> bool:
    """Whether a piece can be written without waiting; an end that is gone says so when it is written to."""
    poll = select.poll()
    poll.register(fd, select.POLLOUT)
    return bool(poll.poll(0))
