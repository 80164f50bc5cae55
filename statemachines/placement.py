"""Where a load goes and who has to make room: one pure decision per waiting load.

So far there is one device, the host, and the question is when, not where. Bytes and places are given in order of
arrival: what earlier loads are owed is subtracted before a later one is looked at.
"""

from collections.abc import Sequence

import msgspec

from statemachines.causes import Cause
from statemachines.eviction import Candidate, Shortfall, choose_fences, choose_idle
from statemachines.units import RunnerId


class Room(msgspec.Struct, frozen=True):
    """What there is, for one load [bytes, count].

    Attributes:
        free_bytes, free_places: to be had now.
        coming_bytes, coming_places: held by runners that are leaving.
        owed_bytes, owed_places: what earlier waiting loads are going to take of both.
        capacity_bytes: what would be free with every runner gone that can go.
        load_places: loads that may still be started [count].
        owed_load_places: earlier loads that wait for nothing else [count].
    """

    free_bytes: int
    free_places: int
    coming_bytes: int
    coming_places: int
    owed_bytes: int
    owed_places: int
    capacity_bytes: int
    load_places: int
    owed_load_places: int

    def shortfall(self, need_bytes: int) -> Shortfall:
        """What has to come free beyond what is free or coming already, after the earlier loads have theirs."""
        return Shortfall(
            need_bytes - (self.free_bytes + self.coming_bytes - self.owed_bytes),
            1 - (self.free_places + self.coming_places - self.owed_places),
        )


class Decision(msgspec.Struct, frozen=True):
    """What to do about a waiting load.

    Attributes:
        starts: start it now.
        never_fits: refuse it: not even an empty machine would hold it.
        victims: idle runners to unload for it.
        fences: busy runners to fence for it.
        cause: why it waits, when it does.
    """

    starts: bool = False
    never_fits: bool = False
    victims: tuple[RunnerId, ...] = ()
    fences: tuple[RunnerId, ...] = ()
    cause: Cause | None = None


class KeyHold(msgspec.Struct, frozen=True):
    """The READY runner of the load's own key, which does not cover it (rule 1).

    Attributes:
        is_held: there is one.
        holder: the same while it may be asked to go: nobody has fenced it yet, and it has no earlier request to serve.
        is_idle: it can go at once.
        serves_earlier: it has requests to serve that came before this load's.
    """

    is_held: bool = False
    holder: Candidate | None = None
    is_idle: bool = False
    serves_earlier: bool = False


def decide(
    need_bytes: int,
    room: Room,
    *,
    idle: Sequence[Candidate],
    busy: Sequence[Candidate],
    key: KeyHold,
    serves_earlier: bool,
    yielding: Sequence[Candidate],
) -> Decision:
    """Decide about one load (rules 1, 2, 3, 10, 11).

    (1) More than the machine could ever give: refused, before anything is unloaded for it.
    (2) No load place that is not owed to an earlier load: a load that nobody wants yields its place, with whomever
        else has to go, if the newcomer fits then. Otherwise it waits, and unloading somebody now would be too early.
    (3) A READY runner of its own key that does not cover it leaves first, whatever the bytes say, and after it has
        served those who came earlier.
    (4) Everything there: it starts, unless (3) holds or what it takes is owed to an earlier load.
    (5) Enough is coming: it waits for that.
    (6) Idle victims suffice: they go.
    (7) Idle victims and fences suffice: they go, and those are fenced, as a set.
    (8) Not even that: it waits for runners that are still LOADING, for those that serve earlier requests, or behind
        the earlier loads.

    Args:
        idle, busy: who may be unloaded, who may be fenced; without the runner of ``key``, and without those that have
            earlier requests to serve.
        serves_earlier: some runner has requests to serve that came before this load's.
        yielding: those of ``idle`` that are LOADING for nobody.
    """
    if need_bytes > room.capacity_bytes:  # (1)
        return Decision(never_fits=True)
    short = room.shortfall(need_bytes)
    if room.load_places <= room.owed_load_places:  # (2)
        return _yield_place(short, idle, busy, key, yielding)
    if key.serves_earlier:  # (3)
        return Decision(cause=Cause.EARLIER_REQUESTS)
    if key.holder is not None:
        return _make_room(short.less((key.holder,)), idle, busy, key, otherwise=Cause.KEY)
    if short.is_covered and not key.is_held and need_bytes <= room.free_bytes and room.free_places >= 1:  # (4)
        return Decision(starts=True)
    missing = Shortfall(need_bytes - room.free_bytes, 1 - room.free_places)
    cause = Cause.BYTES if missing.short_bytes > 0 else Cause.RUNNER_PLACE
    if short.is_covered:  # (5)
        return Decision(cause=Cause.KEY if key.is_held else cause)
    otherwise = Cause.EARLIER_LOADS if room.owed_places else cause
    if serves_earlier:
        otherwise = Cause.EARLIER_REQUESTS
    return _make_room(short, idle, busy, key, otherwise=otherwise, cause=cause)


def _make_room(
    short: Shortfall,
    idle: Sequence[Candidate],
    busy: Sequence[Candidate],
    key: KeyHold,
    *,
    otherwise: Cause,
    cause: Cause = Cause.KEY,
) -> Decision:
    """(6), (7), (8), beside the runner of the load's own key, which has to go too."""
    victims = choose_idle(short, idle)  # (6)
    fences = choose_fences(short.less(victims), busy)  # (7)
    if not short.less(victims + fences).is_covered:  # (8)
        return Decision(cause=otherwise)
    first = () if key.holder is None else (key.holder.runner,)
    return Decision(
        victims=(first if key.is_idle else ()) + tuple(victim.runner for victim in victims),
        fences=(() if key.is_idle else first) + tuple(fence.runner for fence in fences),
        cause=cause,
    )


def _yield_place(
    short: Shortfall,
    idle: Sequence[Candidate],
    busy: Sequence[Candidate],
    key: KeyHold,
    yielding: Sequence[Candidate],
) -> Decision:
    """(2): one unwanted load, with others if need be, so that there is room for the newcomer; as few as possible."""
    ways = [way for one in yielding if (way := _yield_with(one, short, idle, busy, key)) is not None]
    return min(ways, key=lambda way: (len(way.fences), len(way.victims)), default=Decision(cause=Cause.LOAD_PLACE))


def _yield_with(
    one: Candidate, short: Shortfall, idle: Sequence[Candidate], busy: Sequence[Candidate], key: KeyHold
) -> Decision | None:
    """Who has to go beside this one, or None if all of them do not suffice."""
    rest = [candidate for candidate in idle if candidate is not one]
    left = short.less((one,) if key.holder is None else (one, key.holder))
    room = _make_room(left, rest, busy, key, otherwise=Cause.EARLIER_LOADS, cause=Cause.LOAD_PLACE)
    if room.cause is not Cause.LOAD_PLACE:
        return None
    return msgspec.structs.replace(room, victims=(one.runner, *room.victims))
