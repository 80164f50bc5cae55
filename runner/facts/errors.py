"""How the reader says that a file is no usable model: one exception, worded for the person who owns the file."""

from runner.facts.limits import SHOWN_BYTES_MAX
from statemachines.errors import Refusal, RefusalCode, RoundhouseError
from statemachines.units import format_bytes


class BadModelFile(RoundhouseError):
    """The file's side: it is damaged, hostile, or of a kind that is not served. Never names a path."""


def bad_file(what: str) -> BadModelFile:
    """The file breaks the format or one of the reader's limits."""
    message = f"the model file cannot be used: {what}; fetch or convert it again"
    return BadModelFile(Refusal(RefusalCode.INVALID, message))


def too_large_to_show() -> BadModelFile:
    """The file may be fine; what it lists is more than one answer holds."""
    limit = format_bytes(SHOWN_BYTES_MAX)
    message = f"the arrays of this model are more than one verbose answer holds ({limit}); ask without 'verbose'"
    return BadModelFile(Refusal(RefusalCode.NOT_SERVED, message))


def unreadable(what: str, code: RefusalCode = RefusalCode.LOAD_FAILED) -> BadModelFile:
    """The operating system does not let us read it: this machine's side, not the file's. What it said stays here."""
    return BadModelFile(Refusal(code, f"the model file cannot be read: {what}"))
