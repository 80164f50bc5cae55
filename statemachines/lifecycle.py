"""The service machine: STARTING -> OPEN -> DRAINING -> STOPPED.

Theory of operation. Requests are taken while OPEN. DRAINING refuses new ones, withdraws the loads and ends the
runners, each with a deadline; STOPPED is entered when every runner is DEAD or unreapable, so shutdown always ends.
"""

from enum import StrEnum

from statemachines.table import Table, go, ignore, stay
from statemachines.units import FOREVER_NS


class ServiceState(StrEnum):
    STARTING = "starting"
    OPEN = "open"
    DRAINING = "draining"
    STOPPED = "stopped"


class ServiceTrigger(StrEnum):
    OPENED = "Opened"
    SHUTDOWN = "Shutdown"
    SHUTDOWN_FORCED = "ShutdownForced"
    EMPTIED = "Emptied"


class Service:
    """The service as a whole.

    Attributes:
        gone_by: core time by which it has ended at the latest; far away until it is ordered to stop [ns].
    """

    __slots__ = ("gone_by", "state")

    def __init__(self) -> None:
        self.state = ServiceState.STARTING
        self.gone_by = FOREVER_NS


S = ServiceState
T = ServiceTrigger

_OVER = ignore("it has stopped")

#        STARTING, OPEN, DRAINING, STOPPED
SERVICE = Table(
    "service",
    ServiceState,
    ServiceTrigger,
    {
        T.OPENED: (
            go(S.OPEN, "the devices are known and the listener is bound"),
            ignore("doubled"),
            ignore("too late: it is stopping"),
            _OVER,
        ),
        T.SHUTDOWN: (
            go(S.DRAINING, "ordered to stop before it opened"),
            go(S.DRAINING, "ordered to stop"),
            ignore("it is stopping already"),
            _OVER,
        ),
        T.SHUTDOWN_FORCED: (
            go(S.DRAINING, "ordered to stop at once"),
            go(S.DRAINING, "ordered to stop at once"),
            stay("ordered to stop at once"),
            _OVER,
        ),
        T.EMPTIED: (
            ignore("no runner is needed yet"),
            ignore("no runner is needed now"),
            go(S.STOPPED, "no runner is left"),
            _OVER,
        ),
    },
)
