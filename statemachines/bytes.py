"""The bytes machine: what one incarnation holds on one device.

Theory of operation. Bytes are RESERVED when the process is ordered, USED (with the reported figure) when the model is
loaded, and come free exactly once. Only the end of the process (`Gone`: reaped, or never spawned) leaves RESERVED or
USED: the host's bytes are FREE in that moment, because the kernel has them back; a card's bytes are RETURNING until
the driver shows them again (`Returned`) or the recovery limit is over, when the shortfall is booked as foreign.
"""

from enum import StrEnum

from statemachines.table import Table, go, ignore, illegal
from statemachines.units import HOST, DeviceId, RunnerId


class BytesState(StrEnum):
    RESERVED = "reserved"
    USED = "used"
    RETURNING = "returning"
    FREE = "free"


class BytesTrigger(StrEnum):
    LOADED = "Loaded"
    GONE = "Gone"
    RETURNED = "Returned"
    RECOVERY_LIMIT = "RecoveryLimit"


class Holding:
    """One incarnation's bytes on one device.

    Attributes:
        mapped_bytes: the model file, mapped; the operating system still counts it as available.
        own_bytes: everything else.
        sampled_bytes: of its own bytes those that the last sample of the device has in its figures already.
    """

    __slots__ = ("device", "mapped_bytes", "own_bytes", "runner", "sampled_bytes", "state")

    def __init__(self, runner: RunnerId, device: DeviceId, *, mapped_bytes: int, own_bytes: int) -> None:
        self.runner = runner
        self.device = device
        self.mapped_bytes = mapped_bytes
        self.own_bytes = own_bytes
        self.sampled_bytes = 0
        self.state = BytesState.RESERVED

    @property
    def total_bytes(self) -> int:
        return self.mapped_bytes + self.own_bytes

    @property
    def unsampled_bytes(self) -> int:
        """Bytes that the last sample does not have: not resident yet, or mapped and so never missed [bytes]."""
        return self.total_bytes - self.sampled_bytes


def is_on_host(holding: Holding) -> bool:
    return holding.device == HOST


S = BytesState
T = BytesTrigger

_GONE = (
    go(S.FREE, "the process is gone, and the kernel has its memory back", when=is_on_host),
    go(S.RETURNING, "the process is gone; the driver has yet to show its memory as free"),
)
_ALIVE = ignore("stale: the process is alive")
_ONCE = illegal("bytes are released exactly once")

#        RESERVED, USED, RETURNING, FREE
BYTES = Table(
    "bytes",
    BytesState,
    BytesTrigger,
    {
        T.LOADED: (go(S.USED, "the reported figure replaces the plan"), ignore("doubled"), _ONCE, _ONCE),
        T.GONE: (_GONE, _GONE, _ONCE, _ONCE),
        T.RETURNED: (_ALIVE, _ALIVE, go(S.FREE, "the driver shows it as free"), ignore("doubled")),
        T.RECOVERY_LIMIT: (
            _ALIVE,
            _ALIVE,
            go(S.FREE, "it never came back: the shortfall is foreign from now on"),
            ignore("stale: it came back"),
        ),
    },
)
