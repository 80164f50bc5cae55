"""What the people who run the service may look at. HTTP handlers show it; nothing of it decides anything."""

from collections.abc import Callable

from service.journal import RingJournal
from service.metrics.counts import Counts
from service.metrics.figures import Figures
from service.operators.health import Health
from service.ports import Clock
from service.version import own_version
from statemachines.limits import Limits
from statemachines.snapshot import StateView


class Lookout:
    """The service from outside.

    Args:
        health: whether it is fit to serve.
        snapshot: the core as of its last step.
        inbox_len: events that the core has not seen yet [count].
        engine: engine and version, or an empty string while unknown.

    Attributes:
        health: as above.
        counts: what has happened so far; HTTP tells it of its answers.
    """

    def __init__(
        self,
        *,
        counts: Counts,
        health: Health,
        snapshot: Callable[[], StateView],
        inbox_len: Callable[[], int],
        journal: RingJournal,
        clock: Clock,
        limits: Limits,
        engine: str,
    ) -> None:
        self.counts = counts
        self.health = health
        self._figures = Figures(
            snapshot=snapshot,
            now_ns=clock.now_ns,
            inbox_len=inbox_len,
            journal=journal,
            limits=limits,
            build={"version": own_version(), "engine": engine},
        )
        counts.metrics.registry.register(self._figures)

    def metrics(self) -> bytes:
        """Every metric as of now, as Prometheus reads them."""
        return self.counts.metrics.exposition()
