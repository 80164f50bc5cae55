"""What the command line does to file descriptors, without ever blocking the event loop.

The loop may carry an embedded server, so a pager that stops reading or a person who thinks must not stop it. Reads
and writes go to descriptors and not to `sys.stdin` and `sys.stdout`: an abandoned thread inside those objects holds
a lock that Python's shutdown dies of.
"""

import os
from collections.abc import Callable

import trio

from service.cli.descriptors import STDERR, STDIN, STDOUT, is_terminal
from service.cli.exits import CommandFailed

_CHUNK_BYTES = 1 << 16
_COLUMNS = 80
"""Of a terminal that does not say how wide it is."""
_CLEAR_LINE = "\r\x1b[K"
_CONTROLS = dict.fromkeys([*range(0x20), *range(0x7F, 0xA0)])
"""Everything a terminal might take for a command."""
del _CONTROLS[ord("\n")], _CONTROLS[ord("\t")]


def printable(text: str) -> str:
    """``text`` without control characters: what a model says must not steer somebody's terminal."""
    return text.translate(_CONTROLS)


class Output:
    """Where an answer goes: exactly as it is, or without control characters when it goes to a terminal."""

    def __init__(self, descriptor: int = STDOUT) -> None:
        self._descriptor = descriptor
        self._is_terminal = is_terminal(descriptor)

    async def write(self, text: str) -> None:
        """Write all of ``text``.

        Raises:
            BrokenPipeError: the reader is gone.
            CommandFailed: it cannot be written, as on a full disk.
        """
        data = (printable(text) if self._is_terminal else text).encode("utf-8", "replace")
        try:
            await trio.to_thread.run_sync(self._write_all, data, abandon_on_cancel=True)
        except BrokenPipeError:
            raise
        except OSError as error:
            raise CommandFailed(f"the answer cannot be written: {error.strerror}") from error

    def _write_all(self, data: bytes) -> None:
        while data:
            data = data[os.write(self._descriptor, data) :]


class StatusLine:
    """One line on a terminal's standard error that is written over; silent elsewhere."""

    def __init__(self, descriptor: int = STDERR) -> None:
        self._descriptor = descriptor
        self.is_shown = is_terminal(descriptor)
        self._text = ""

    def show(self, text: str) -> None:
        if self.is_shown and text != self._text:
            self._text = text
            self._write(_CLEAR_LINE + self._fitting(printable(text)))

    def clear(self) -> None:
        if self._text:
            self._text = ""
            self._write(_CLEAR_LINE)

    def _fitting(self, text: str) -> str:
        # A line that wraps could not be written over.
        try:
            columns = os.get_terminal_size(self._descriptor).columns
        except OSError:
            columns = 0
        return text[: (columns or _COLUMNS) - 1]

    def _write(self, text: str) -> None:
        # A status nobody can see any more is no reason to lose an answer.
        try:
            os.write(self._descriptor, text.encode("utf-8", "replace"))
        except OSError:
            self.is_shown = False


class Lines:
    """Lines that a person types; reading one can be cancelled, because it waits without a thread."""

    def __init__(self, descriptor: int = STDIN) -> None:
        self._descriptor = descriptor
        self._rest = b""

    async def next(self) -> str | None:
        """The next line without its end, or None when there are no more.

        What was typed before an end of input without a line end is a line too.
        """
        while b"\n" not in self._rest:
            await trio.lowlevel.wait_readable(self._descriptor)
            data = self._read()
            if not data:
                line, self._rest = self._rest, b""
                return _text(line) if line else None
            self._rest += data
        line, _, self._rest = self._rest.partition(b"\n")
        return _text(line)

    def forget(self) -> None:
        """Drop a line that was begun: the terminal has dropped its part too."""
        self._rest = b""

    def _read(self) -> bytes:
        try:
            return os.read(self._descriptor, _CHUNK_BYTES)
        except OSError:  # a terminal that was hung up answers with an error instead of an end
            return b""


async def read_all(descriptor: int = STDIN, *, most_bytes: int) -> bytes:
    """Everything up to the end of ``descriptor``, or the first ``most_bytes`` and one more."""
    chunks: list[bytes] = []
    size_bytes = 0
    while size_bytes <= most_bytes:
        data = await trio.to_thread.run_sync(os.read, descriptor, _CHUNK_BYTES, abandon_on_cancel=True)
        if not data:
            break
        chunks.append(data)
        size_bytes += len(data)
    return b"".join(chunks)


async def notice_after(limit_s: float, done: trio.Event, notice: Callable[[], None]) -> None:
    """Say something when ``done`` takes longer than ``limit_s``: no wait is silent."""
    with trio.move_on_after(limit_s):
        await done.wait()
    if not done.is_set():
        notice()


def _text(line: bytes) -> str:
    return line.decode("utf-8", "replace").rstrip("\r")
