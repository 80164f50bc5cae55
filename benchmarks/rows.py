"""Rows of figures: percentiles, what must be met, and how a row is printed."""

import math
from collections.abc import Sequence
from dataclasses import dataclass


def percentile(values: Sequence[float], percent: float) -> float:
    """The smallest value that at least ``percent`` of all values do not exceed."""
    rank = math.ceil(len(values) * percent / 100)
    return sorted(values)[max(rank, 1) - 1]


def differences(left: Sequence[float], right: Sequence[float]) -> list[float]:
    """``left`` minus ``right``, pair by pair."""
    return [a - b for a, b in zip(left, right, strict=True)]


def successive(values: Sequence[float]) -> list[float]:
    """Each value minus the one before it: how far two equal measurements lie apart."""
    return differences(values[1:], values[:-1])


@dataclass(frozen=True)
class Limit:
    """What a percentile must not exceed, in the unit of its row."""

    percent: float
    most: float

    def is_met(self, values: Sequence[float]) -> bool:
        return percentile(values, self.percent) <= self.most

    def __str__(self) -> str:
        return f"p{self.percent:g} <= {self.most:g}"


@dataclass(frozen=True)
class Row:
    """One line of a report.

    Attributes:
        values: at least one.
        remark: printed behind the figures.
        disturbed: values that the host spoiled, however often they were measured [count].
    """

    name: str
    values: Sequence[float]
    unit: str = "ms"
    limits: tuple[Limit, ...] = ()
    remark: str = ""
    disturbed: int = 0

    @property
    def is_good(self) -> bool:
        """It meets what it must, and the host had no part in it."""
        return not self.missed and not self.disturbed

    @property
    def missed(self) -> list[Limit]:
        return [limit for limit in self.limits if not limit.is_met(self.values)]

    def __str__(self) -> str:
        figures = f"p50 {percentile(self.values, 50):8.2f}  p95 {percentile(self.values, 95):8.2f}"
        spread = f"({min(self.values):.2f} to {max(self.values):.2f}) {self.unit}, n={len(self.values)}"
        musts = [f"must be {limit}: {'MISSED' if limit in self.missed else 'met'}" for limit in self.limits]
        spoiled = f"DISTURBED: {self.disturbed} values" if self.disturbed else ""
        return "  ".join([f"{self.name:44} {figures}  {spread}", *filter(None, [*musts, self.remark, spoiled])])
