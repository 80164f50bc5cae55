"""Small files that are read whole and replaced whole: whoever looks finds the old content or the new one."""

import os
from pathlib import Path

FRESH_SUFFIX = ".fresh"
"""Of a file that is being written; what a crash leaves of it is written over the next time."""


class TooLarge(OSError):
    """No file that we write is as large as this one."""


def read_whole(path: Path, *, bytes_max: int) -> bytes:
    """The content of a file.

    Raises:
        TooLarge: it has more than ``bytes_max`` bytes.
        OSError: it is not there or cannot be read.
    """
    with path.open("rb") as file:
        data = file.read(bytes_max + 1)
    if len(data) > bytes_max:
        raise TooLarge(f"more than {bytes_max} bytes")
    return data


def replace_whole(path: Path, data: bytes) -> None:
    """Write all or nothing; also a power failure leaves one of the two contents. One writer at a time.

    Raises:
        OSError: it cannot be written, and nothing has changed.
    """
    fresh = path.with_name(path.name + FRESH_SUFFIX)
    try:
        with fresh.open("wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        os.replace(fresh, path)
    finally:
        fresh.unlink(missing_ok=True)
