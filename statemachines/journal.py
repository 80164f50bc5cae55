"""The journal's lines: what went in, what came out, as one JSON object per step.

Enough to see after the fact why something happened; ids, sizes, options and causes, never text. Replaying a journal
needs its header and a snapshot of the core, which follow together with the replay.
"""

import msgspec

from statemachines.effects import AnyEffect
from statemachines.events import AnyEvent

JOURNAL_FORMAT = 1

_ENCODER = msgspec.json.Encoder()


class Entry(msgspec.Struct, frozen=True):
    """One step of the core."""

    number: int
    event: AnyEvent
    effects: tuple[AnyEffect, ...]


_DECODER = msgspec.json.Decoder(Entry)


def encode(entry: Entry) -> bytes:
    """One line, without its newline."""
    return _ENCODER.encode(entry)


def decode(line: bytes) -> Entry:
    """The entry of one line.

    Raises:
        msgspec.DecodeError: the line is none of ours.
    """
    return _DECODER.decode(line)
