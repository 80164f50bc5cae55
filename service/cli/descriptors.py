"""The three standard streams, by number."""

import os

STDIN, STDOUT, STDERR = 0, 1, 2


def open_standard_streams() -> None:
    """Put the null device where a standard stream is missing.

    A command started without one would otherwise get its next socket under that number, and write its answer there.
    """
    for number in (STDIN, STDOUT, STDERR):
        try:
            os.fstat(number)
        except OSError:
            os.open(os.devnull, os.O_RDWR)  # the lowest free number, which is this one


def is_terminal(descriptor: int) -> bool:
    """Whether a person is at the other end; a closed descriptor is nobody."""
    try:
        return os.isatty(descriptor)
    except OSError:
        return False
