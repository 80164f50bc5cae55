"""Whom to unload, and whom to fence: the longest idle first, and never more than needed.

Pure policy over plain numbers; what may be chosen at all (no lease, no claimant, not pinned) is decided by who builds
the candidates. A cost of reloading will take the place of idleness here.
"""

from collections.abc import Sequence

import msgspec

from statemachines.units import RunnerId


class Candidate(msgspec.Struct, frozen=True):
    """A runner that could go.

    Attributes:
        total_bytes: what comes free with it.
        since: core time since when it is idle; for a busy one: since when its oldest lease runs [ns].
        waiters: requests that wait for it [count].
    """

    runner: RunnerId
    total_bytes: int
    since: int
    waiters: int = 0


class Shortfall(msgspec.Struct, frozen=True):
    """What is missing; nothing when neither is positive."""

    short_bytes: int
    places: int

    @property
    def is_covered(self) -> bool:
        return self.short_bytes <= 0 and self.places <= 0

    def less(self, chosen: Sequence[Candidate]) -> "Shortfall":
        """What is still missing when these are gone."""
        return Shortfall(self.short_bytes - sum(c.total_bytes for c in chosen), self.places - len(chosen))


def choose_idle(shortfall: Shortfall, idle: Sequence[Candidate]) -> tuple[Candidate, ...]:
    """The longest idle ones that cover the shortfall; all of them when they do not suffice."""
    return _fewest(shortfall, sorted(idle, key=lambda c: (c.since, c.runner)))


def choose_fences(shortfall: Shortfall, busy: Sequence[Candidate]) -> tuple[Candidate, ...]:
    """The busy ones to fence: those with the fewest waiters, then the oldest lease; all when they do not suffice."""
    return _fewest(shortfall, sorted(busy, key=lambda c: (c.waiters, c.since, c.runner)))


def _fewest(shortfall: Shortfall, ordered: Sequence[Candidate]) -> tuple[Candidate, ...]:
    """The shortest prefix that covers the shortfall, without members that it does not need."""
    chosen: list[Candidate] = []
    for candidate in ordered:
        if shortfall.less(chosen).is_covered:
            break
        chosen.append(candidate)
    for candidate in tuple(chosen):
        rest = [other for other in chosen if other is not candidate]
        if shortfall.less(rest).is_covered:
            chosen = rest
    return tuple(chosen)
