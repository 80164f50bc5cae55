"""Who writes to a state folder: a record beside the lock, for whoever finds the lock taken or comes after a crash.

The record is there while its server lives and is removed when it ends in order. So one that is found by the holder of
the lock belongs to a server that was killed, crashed, or lost its power.
"""

from datetime import UTC, datetime
from typing import Annotated

import msgspec

from service.births import ProcessIdentity, own_identity
from service.version import own_version
from statemachines.decoding import UNDECODABLE
from statemachines.units import NS_PER_S

OWNER_FILE = "owner.json"
OWNER_BYTES_MAX = 4096

WallTime = Annotated[int, msgspec.Meta(ge=0, le=(1 << 63) - 1)]
"""Nanoseconds that a calendar has a day for, whatever a damaged record says."""


class Owner(msgspec.Struct, frozen=True):
    """One server.

    Attributes:
        address: where it answers.
        version: of Roundhouse.
        since_ns: when it took the folder, wall time.
    """

    process: ProcessIdentity
    address: str
    version: str
    since_ns: WallTime

    def words(self) -> dict[str, object]:
        """Fields of a log line."""
        since = datetime.fromtimestamp(self.since_ns // NS_PER_S, UTC).isoformat()
        return {"pid": self.process.pid, "started": since, "address": self.address, "version": self.version}


def this_process(address: str, since_ns: int) -> Owner:
    """A server in this process."""
    return Owner(own_identity(), address, own_version(), since_ns)


def encode(owner: Owner) -> bytes:
    return msgspec.json.encode(owner)


def decode(data: bytes) -> Owner | None:
    """The record, or None when it is none: it only explains, and nothing rests on it."""
    try:
        return msgspec.json.decode(data, type=Owner)
    except UNDECODABLE:
        return None
