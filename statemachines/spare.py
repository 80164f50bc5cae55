"""The spare machine: NONE -> IMPORTING -> WARM -> NONE, for ever.

Theory of operation. There is one place for a runner process that is started ahead of need. The scheduler knows nothing
of it: whether a spawn is answered by the spare or by a fresh process makes no difference to any decision. What this
machine decides is when the place is filled, and when its process is given up:

- it is filled `spare_pause_ns` after the last load under way has ended, never while one goes on: importing an engine
  takes a core for a third of a second, and the load, or its first tokens, would be slower by it;
- after a failure it is filled later, each time twice as late, until a spare has become warm and was taken;
- one that is not warm by its deadline is killed; so is one that is found stopped when it is wanted, and one that was
  started for another class of environment than the one that is wanted.

Once the service stops, the place is not filled any more; a spare that is there stays to the very end, since it is in
nobody's way.

A spare serves one incarnation. It is taken also while it imports: it is ahead of any process that is started now.
"""

from enum import StrEnum

from statemachines.limits import Limits
from statemachines.table import Table, go, ignore, stay


class SpareState(StrEnum):
    NONE = "none"
    IMPORTING = "importing"
    WARM = "warm"


class SpareTrigger(StrEnum):
    LOADS_BEGAN = "LoadsBegan"
    LOADS_ENDED = "LoadsEnded"
    DUE = "Due"
    GREETED = "Greeted"
    LOST = "Lost"
    TAKEN = "Taken"
    MISFIT = "Misfit"
    FROZEN = "Frozen"
    CLOSED = "Closed"


class SpareOrder(StrEnum):
    """What the machine wants done."""

    START = "start"
    KILL = "kill"


class SparePlace:
    """Room for one spare.

    Attributes:
        due_ns: when it is filled (NONE), or when its process must be warm (IMPORTING); None: at no time.
        failures: spares that were lost since the last one that was warm and taken [count].
        is_loading: a load is under way somewhere in the service.
        is_closed: the service stops.
    """

    __slots__ = ("due_ns", "failures", "is_closed", "is_loading", "limits", "state")

    def __init__(self, limits: Limits, now_ns: int) -> None:
        self.state = SpareState.NONE
        self.limits = limits
        self.due_ns: int | None = now_ns
        self.failures = 0
        self.is_loading = self.is_closed = False

    def backoff_ns(self) -> int:
        """The pause that the failures so far ask for; 0 without one."""
        if not self.failures:
            return 0
        doubled = self.limits.spare_backoff_ns << min(self.failures - 1, _DOUBLINGS_MAX)
        return min(doubled, self.limits.spare_backoff_max_ns)


_DOUBLINGS_MAX = 32
"""Beyond any maximum that makes sense, and short of numbers without end."""

Orders = list[SpareOrder]


def note_load(place: SparePlace, _orders: Orders, _now_ns: int) -> None:
    place.is_loading = True


def note_quiet(place: SparePlace, _orders: Orders, _now_ns: int) -> None:
    place.is_loading = False


def note_end(place: SparePlace, _orders: Orders, _now_ns: int) -> None:
    place.is_closed = True


def hold_back(place: SparePlace, orders: Orders, now_ns: int) -> None:
    note_load(place, orders, now_ns)
    place.due_ns = None


def hold_for_good(place: SparePlace, orders: Orders, now_ns: int) -> None:
    note_end(place, orders, now_ns)
    place.due_ns = None


def rest(place: SparePlace, orders: Orders, now_ns: int) -> None:
    note_quiet(place, orders, now_ns)
    _empty(place, now_ns)


def start(place: SparePlace, orders: Orders, now_ns: int) -> None:
    place.due_ns = now_ns + place.limits.spare_warm_ns
    orders.append(SpareOrder.START)


def keep(place: SparePlace, _orders: Orders, _now_ns: int) -> None:
    place.due_ns = None


def back_off(place: SparePlace, _orders: Orders, now_ns: int) -> None:
    place.failures += 1
    _empty(place, now_ns)


def give_up(place: SparePlace, orders: Orders, now_ns: int) -> None:
    orders.append(SpareOrder.KILL)
    back_off(place, orders, now_ns)


def hand_over(place: SparePlace, _orders: Orders, now_ns: int) -> None:
    _empty(place, now_ns)


def hand_over_warm(place: SparePlace, _orders: Orders, now_ns: int) -> None:
    place.failures = 0
    _empty(place, now_ns)


def replace(place: SparePlace, orders: Orders, now_ns: int) -> None:
    orders.append(SpareOrder.KILL)
    _empty(place, now_ns)


def _empty(place: SparePlace, now_ns: int) -> None:
    """When the place is filled again: not before the loads have ended, and never while the service stops."""
    wait_ns = max(place.limits.spare_pause_ns, place.backoff_ns())
    place.due_ns = None if place.is_loading or place.is_closed else now_ns + wait_ns


S = SpareState
T = SpareTrigger

_GIVEN_UP = ignore("it is somebody else's by now, or was given up")
_FRESH = ignore("there is none: a fresh process is started")
_BUSY = stay("a load is under way", action=note_load)
_QUIET = stay("no load is under way any more", action=note_quiet)
_END = stay("it will be the last one", action=note_end)

#        NONE, IMPORTING, WARM
SPARE = Table(
    "spare",
    SpareState,
    SpareTrigger,
    {
        T.LOADS_BEGAN: (stay("it is not filled while a load is under way", action=hold_back), _BUSY, _BUSY),
        T.LOADS_ENDED: (stay("it is filled after a pause", action=rest), _QUIET, _QUIET),
        T.DUE: (
            go(S.IMPORTING, "its time has come", action=start),
            go(S.NONE, "it was not warm in time", action=give_up),
            ignore("a warm one has no deadline"),
        ),
        T.GREETED: (_GIVEN_UP, go(S.WARM, "the engine is imported", action=keep), ignore("doubled")),
        T.LOST: (
            _GIVEN_UP,
            go(S.NONE, "it could not be started, or ended", action=back_off),
            go(S.NONE, "it ended", action=back_off),
        ),
        T.TAKEN: (
            _FRESH,
            go(S.NONE, "it is ahead of a fresh one", action=hand_over),
            go(S.NONE, "it becomes a runner", action=hand_over_warm),
        ),
        T.MISFIT: (
            _FRESH,
            go(S.NONE, "another class of environment is wanted", action=replace),
            go(S.NONE, "another class of environment is wanted", action=replace),
        ),
        T.FROZEN: (
            _FRESH,
            go(S.NONE, "it is stopped, and nobody waits for it", action=give_up),
            go(S.NONE, "it is stopped, and nobody waits for it", action=give_up),
        ),
        T.CLOSED: (stay("it is not filled any more", action=hold_for_good), _END, _END),
    },
)
