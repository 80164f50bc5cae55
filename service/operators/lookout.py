"""What the people who run the service may look at. HTTP handlers show it; nothing of it decides anything."""

import secrets
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from service.journal import RingJournal
from service.metrics.counts import Counts
from service.metrics.figures import Figures
from service.operators.health import Health
from service.operators.interest import Interest
from service.operators.tail import Tail
from service.ports import Clock
from service.version import own_version
from statemachines.limits import Limits
from statemachines.snapshot import StateView


class Lookout:
    """The service from outside.

    Args:
        health: whether it is fit to serve.
        snapshot: the core as of its last step.
        spare: the state of the spare, of which the core knows nothing.
        inbox_len: events that the core has not seen yet [count].
        engine: engine and version, or an empty string while unknown.
        followers_max: who may follow the journal at once [count].

    Attributes:
        health, journal: as above.
        counts: what has happened so far; HTTP tells it of its answers.
        followers: how many follow the journal [count].
        start: tells this start of the service from every other; numbers of steps begin anew with it.
    """

    def __init__(
        self,
        *,
        counts: Counts,
        health: Health,
        snapshot: Callable[[], StateView],
        spare: Callable[[], str],
        inbox_len: Callable[[], int],
        journal: RingJournal,
        clock: Clock,
        limits: Limits,
        engine: str,
        followers_max: int,
    ) -> None:
        self.counts = counts
        self.health = health
        self._figures = Figures(
            snapshot=snapshot,
            now_ns=clock.now_ns,
            spare=spare,
            inbox_len=inbox_len,
            journal=journal,
            limits=limits,
            build={"version": own_version(), "engine": engine},
        )
        counts.metrics.registry.register(self._figures)
        self._snapshot = snapshot
        self.journal = journal
        self.followers = 0
        self._followers_max = followers_max
        self.start = secrets.token_hex(4)

    def tail(self, interest: Interest) -> Tail:
        """A reader of the journal."""
        return Tail(self.journal, interest, self._snapshot)

    @contextmanager
    def following(self) -> Iterator[bool]:
        """Count one more who follows the journal; False when as many do as may."""
        if self.followers >= self._followers_max:
            yield False
            return
        self.followers += 1
        try:
            yield True
        finally:
            self.followers -= 1

    def metrics(self) -> bytes:
        """Every metric as of now, as Prometheus reads them."""
        return self.counts.metrics.exposition()
