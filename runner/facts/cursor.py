"""Reads a file's header forward, a window at a time, and never past its end or past a limit.

Why not mmap: a file that is cut short while it is mapped kills the process with SIGBUS, and a mapping of the whole
file would need an address-space limit as large as the model (docs/decisions/0010-gguf-reader.md).
"""

import os
import stat
import struct
from collections.abc import Iterator
from contextlib import contextmanager

from runner.facts.errors import bad_file, unreadable
from runner.facts.limits import HEADER_BYTES_MAX, WINDOW_BYTES
from statemachines.errors import RefusalCode

U32 = struct.Struct("<I")
U64 = struct.Struct("<Q")


class Cursor:
    """A position in one file's header.

    Attributes:
        size_bytes: the file's size when it was opened [bytes].
    """

    def __init__(self, descriptor: int, size_bytes: int) -> None:
        self.size_bytes = size_bytes
        self._descriptor = descriptor
        self._end = min(size_bytes, HEADER_BYTES_MAX)
        self._window = b""
        self._base = 0
        self._at = 0

    @property
    def position(self) -> int:
        """Bytes from the beginning of the file."""
        return self._base + self._at

    @property
    def left_bytes(self) -> int:
        """What is left of the file; more than what may still be read of it."""
        return self.size_bytes - self.position

    def bytes(self, count: int) -> bytes:
        """The next ``count`` bytes; the caller has checked ``count`` against a limit of its own."""
        self._need(count)
        start = self._at
        self._at += count
        return self._window[start : self._at]

    def u32(self) -> int:
        self._need(4)
        (value,) = U32.unpack_from(self._window, self._at)
        self._at += 4
        return int(value)

    def u64(self) -> int:
        self._need(8)
        (value,) = U64.unpack_from(self._window, self._at)
        self._at += 8
        return int(value)

    def skip(self, count: int) -> None:
        """Step over ``count`` bytes without reading them."""
        self._check(self.position + count)
        self._at += count

    def skip_strings(self, count: int) -> None:
        """Step over ``count`` length-prefixed strings: the one hot loop (a vocabulary has hundreds of thousands).

        Running out of the window shows as an error of `unpack_from`, so that the loop itself tests nothing.
        """
        length_at = U64.unpack_from
        window, at = self._window, self._at
        for _ in range(count):
            try:
                at += 8 + length_at(window, at)[0]
            except (struct.error, OverflowError):
                self._at = at
                self._need(8)
                window, at = self._window, self._at
                at += 8 + length_at(window, at)[0]
        self._at = at
        self._check(self.position)

    def _need(self, count: int) -> None:
        """Have ``count`` bytes in the window from the position on."""
        if self._at + count <= len(self._window):
            return
        position = self.position
        self._check(position + count)
        wanted = min(max(count, WINDOW_BYTES), self._end - position)
        self._window = _read(self._descriptor, wanted, position)
        self._base, self._at = position, 0
        if len(self._window) < count:
            raise bad_file("it became shorter while it was read")

    def _check(self, position: int) -> None:
        if position > self.size_bytes:
            raise bad_file("it ends in the middle of its header")
        if position > self._end:
            raise bad_file("its header is larger than any model's")


def _read(descriptor: int, count: int, position: int) -> bytes:
    try:
        return os.pread(descriptor, count, position)
    except OSError:
        raise unreadable("the disk reports an error") from None


@contextmanager
def open_header(path: str) -> Iterator[Cursor]:
    """A cursor at the beginning of a regular file. A pipe or device of that name is refused, not waited for."""
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    except FileNotFoundError:
        raise unreadable("it is not there any more", RefusalCode.NOT_FOUND) from None
    except PermissionError:
        raise unreadable("the service has no permission to read it") from None
    except (OSError, ValueError):
        raise unreadable("it cannot be opened") from None
    try:
        status = os.fstat(descriptor)
        if not stat.S_ISREG(status.st_mode):
            raise unreadable("it is not a regular file")
        yield Cursor(descriptor, status.st_size)
    finally:
        os.close(descriptor)
