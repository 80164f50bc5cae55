"""Reads an exposition with Prometheus' own parser."""

from collections import Counter

from prometheus_client.parser import text_string_to_metric_families
from prometheus_client.samples import Sample


class Reading:
    """One exposition."""

    def __init__(self, text: bytes) -> None:
        families = list(text_string_to_metric_families(text.decode()))
        self.families = {family.name: family for family in families}
        assert len(self.families) == len(families), "two metrics differ in their suffix only"
        self.samples: list[Sample] = [sample for family in self.families.values() for sample in family.samples]

    def __call__(self, name: str, **labels: str) -> float:
        """The value of one sample; 0 for one that is not there, as a counter has it that never counted."""
        found = [one.value for one in self.samples if one.name == f"roundhouse_{name}" and one.labels == labels]
        assert len(found) < 2, f"{name} with {labels} is there {len(found)} times"
        return found[0] if found else 0

    def by(self, name: str, label: str) -> dict[str, float]:
        """The samples of one name by one label, summed over the others; those that are not 0."""
        found: Counter[str] = Counter()
        for one in self.samples:
            if one.name == f"roundhouse_{name}" and one.value:
                found[one.labels[label]] += one.value  # type: ignore[assignment]  # a counter of anything
        return dict(found)
