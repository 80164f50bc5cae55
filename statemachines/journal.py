"""The journal's lines: a header, then what went in and what came out, one JSON object per step.

Enough to see after the fact why something happened; ids, sizes, options and causes, never text. Who keeps the lines
and where is the shell's business (`service.journal`). Replaying them needs a snapshot of the core, which follows
together with the replay.
"""

import msgspec

from statemachines.effects import AnyEffect
from statemachines.events import AnyEvent
from statemachines.limits import Limits


class Header(msgspec.Struct, frozen=True):
    """The first line: without version and limits the rest means nothing.

    Attributes:
        dumped_at, dumped_wall_ns: when the lines were written, core time and wall time [ns].
        steps_written: steps since the start [count]; more than follow when the oldest are gone.
    """

    version: str
    limits: Limits
    why: str
    dumped_at: int
    dumped_wall_ns: int
    steps_written: int


class Entry(msgspec.Struct, frozen=True):
    """One step: an event and what the core answered."""

    event: AnyEvent
    effects: tuple[AnyEffect, ...]


_ENCODER = msgspec.json.Encoder()
_HEADER = msgspec.json.Decoder(Header)
_ENTRY = msgspec.json.Decoder(Entry)


def encode(line: Header | Entry) -> bytes:
    """One line, without its newline."""
    return _ENCODER.encode(line)


def decode_header(line: bytes) -> Header:
    """The header of a journal.

    Raises:
        msgspec.DecodeError: the line is none.
    """
    return _HEADER.decode(line)


def decode(line: bytes) -> Entry:
    """The entry of any further line.

    Raises:
        msgspec.DecodeError: the line is none.
    """
    return _ENTRY.decode(line)
