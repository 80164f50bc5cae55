"""The core's bench with a witness: whatever happens in it is counted."""

from service.metrics.counts import Counts
from service.metrics.registry import Metrics
from statemachines import events
from statemachines.effects import AnyEffect
from tests.service.metrics.reading import Reading
from tests.statemachines.bench import Bench


class CountedBench(Bench):
    """See `tests.statemachines.bench.Bench`."""

    def __init__(self, *, models_max: int = 10, **fields: int) -> None:
        self.counts = Counts(Metrics(), models_max=models_max)
        super().__init__(**fields)

    def give(self, event: events.Event) -> tuple[AnyEffect, ...]:
        answer = super().give(event)
        stamped = type(event)(**{name: getattr(event, name) for name in event.__struct_fields__} | {"at": self.at})
        self.counts.see(stamped, answer)
        return answer

    def read(self) -> Reading:
        return Reading(self.counts.metrics.exposition())
