"""The device machine: OK <-> SUSPECT; either -> LOST.

Theory of operation. A SUSPECT device takes no new plan while its leases go on; it is OK again when every cause is gone
and a sample is good. LOST is final: a card that returns is a new device id. The host is never SUSPECT or LOST: without
it there is nobody to notice.
"""

from enum import StrEnum

from statemachines.table import Table, go, ignore, illegal, stay
from statemachines.units import HOST, DeviceId


class DeviceState(StrEnum):
    OK = "ok"
    SUSPECT = "suspect"
    LOST = "lost"


class DeviceTrigger(StrEnum):
    SUSPECTED = "Suspected"
    RECOVERED = "Recovered"
    DISAPPEARED = "Disappeared"


class Device:
    """One memory.

    Attributes:
        causes: why it is SUSPECT, by name; a cause that is gone is removed by whoever brought it.
    """

    __slots__ = ("causes", "id", "state")

    def __init__(self, device: DeviceId) -> None:
        self.id = device
        self.state = DeviceState.OK
        self.causes: dict[str, None] = {}


def is_card(device: Device) -> bool:
    return device.id != HOST


def is_clear(device: Device) -> bool:
    return not device.causes


def note_cause(device: Device, _step: object, cause: str) -> None:
    device.causes[cause] = None


S = DeviceState
T = DeviceTrigger

_LOST = ignore("a lost device stays lost; a card that returns is a new one")
_HOST = illegal("the host is never suspect or lost")

#        OK, SUSPECT, LOST
DEVICE = Table(
    "device",
    DeviceState,
    DeviceTrigger,
    {
        T.SUSPECTED: (
            (go(S.SUSPECT, "takes no new plan", action=note_cause, when=is_card), _HOST),
            stay("one more cause", action=note_cause),
            _LOST,
        ),
        T.RECOVERED: (
            ignore("it was fine"),
            (go(S.OK, "no cause is left, and the sample is good", when=is_clear), stay("another cause is left")),
            _LOST,
        ),
        T.DISAPPEARED: (
            (go(S.LOST, "the device is gone", when=is_card), _HOST),
            go(S.LOST, "the device is gone"),
            _LOST,
        ),
    },
)
