"""Families of samples that are made when somebody looks."""

from collections import Counter
from collections.abc import Iterable, Mapping

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily

from service.metrics.registry import PREFIX


def gauge(name: str, words: str, value: float) -> GaugeMetricFamily:
    """One number."""
    return GaugeMetricFamily(f"{PREFIX}_{name}", words, value)


def counter(name: str, words: str, value: float) -> CounterMetricFamily:
    """One number that only grows."""
    return CounterMetricFamily(f"{PREFIX}_{name}", words, value)


def gauges(name: str, words: str, label: str, values: Mapping[str, float]) -> GaugeMetricFamily:
    """One number for each value of a label."""
    family = GaugeMetricFamily(f"{PREFIX}_{name}", words, labels=[label])
    for value, number in values.items():
        family.add_metric([value], number)
    return family


def counters(name: str, words: str, label: str, values: Mapping[str, float]) -> CounterMetricFamily:
    """One number that only grows for each value of a label."""
    family = CounterMetricFamily(f"{PREFIX}_{name}", words, labels=[label])
    for value, number in values.items():
        family.add_metric([value], number)
    return family


def tally(name: str, words: str, label: str, known: Iterable[str], found: Iterable[str]) -> GaugeMetricFamily:
    """How often each known value was found; those that were not are there too, as 0."""
    counted = Counter(map(str, found))
    return gauges(name, words, label, {str(value): counted[str(value)] for value in known})
