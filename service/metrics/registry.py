"""Where metrics live and how they are written: a registry of our own, in Prometheus' text format."""

from prometheus_client import (
    CollectorRegistry,
    Counter,
    Histogram,
    ProcessCollector,
    disable_created_metrics,
    generate_latest,
)

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"
PREFIX = "roundhouse"


class Metrics:
    """All metrics of one service, beginning with those of its process (on Linux, from ``/proc``).

    Attributes:
        registry: for what is collected when somebody looks.
    """

    def __init__(self) -> None:
        # The library would add the birth of each series as a series of its own.
        disable_created_metrics()  # type: ignore[no-untyped-call]  # it has no annotations
        self.registry = CollectorRegistry()
        ProcessCollector(registry=self.registry)

    def counter(self, name: str, words: str, *labels: str) -> Counter:
        return Counter(name, words, labels, namespace=PREFIX, registry=self.registry)

    def histogram(self, name: str, words: str, buckets: tuple[float, ...], *labels: str) -> Histogram:
        return Histogram(name, words, labels, namespace=PREFIX, registry=self.registry, buckets=buckets)

    def exposition(self) -> bytes:
        """Every metric as of now."""
        return generate_latest(self.registry)
