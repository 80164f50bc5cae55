"""Whose cores: runners that compute share them, and nobody is raised before the others have given way (rule 16).

Two runners that use all cores each run at a fiftieth of their speed, because their threads wait for one another by
spinning. So each of b busy runners gets max(1, cores // b) threads, the only busy one all of them at once. A newcomer
among others starts with one and is raised when they have acknowledged their share. Threads never delay a grant.
"""

from collections.abc import Mapping, Sequence

from statemachines.units import RunnerId

THREADS_WHILE_LOADING = 1
"""A runner that is LOADING counts for nothing and has one thread."""


class ThreadBudget:
    """What every live runner was told and what it has acknowledged [threads]."""

    def __init__(self, cores: int) -> None:
        self.cores = cores
        self._told: dict[RunnerId, int] = {}
        self._acknowledged: dict[RunnerId, int] = {}
        self._busy: tuple[RunnerId, ...] = ()

    @property
    def told(self) -> Mapping[RunnerId, int]:
        """What each runner was last told to use."""
        return self._told

    def add(self, runner: RunnerId) -> None:
        """A runner is born."""
        self._told[runner] = self._acknowledged[runner] = THREADS_WHILE_LOADING

    def remove(self, runner: RunnerId) -> None:
        """A runner is dead."""
        del self._told[runner], self._acknowledged[runner]

    def acknowledge(self, runner: RunnerId, threads: int) -> None:
        """A runner says what it uses from now on."""
        if runner in self._acknowledged:
            self._acknowledged[runner] = threads

    def balance(self, busy: Sequence[RunnerId]) -> list[tuple[RunnerId, int]]:
        """Who is to be told what, now that these are busy, in this order."""
        share = max(1, self.cores // max(1, len(busy)))
        orders = [(runner, threads) for runner in busy for threads in self._orders(runner, busy, share)]
        self._told.update(orders)
        self._busy = tuple(busy)
        return orders

    def _orders(self, runner: RunnerId, busy: Sequence[RunnerId], share: int) -> list[int]:
        """(1) Above its share, or new among others: lowered. (2) Below, and nobody is in the way: raised."""
        told = self._told[runner]
        is_new = runner not in self._busy and len(busy) > 1
        lowest = 1 if is_new else share
        if told > lowest:  # (1)
            return [lowest]
        others = [other for other in busy if other != runner]
        is_free = all(max(self._told[other], self._acknowledged[other]) <= share for other in others)
        return [share] if told < share and is_free else []  # (2)
