"""A journal that keeps everything in lists."""

from statemachines.effects import AnyEffect
from statemachines.events import AnyEvent


class ListJournal:
    """Steps and dumps, in order."""

    def __init__(self) -> None:
        self.steps: list[tuple[AnyEvent, tuple[AnyEffect, ...]]] = []
        self.dumps: list[str] = []

    def write(self, event: AnyEvent, effects: tuple[AnyEffect, ...]) -> None:
        self.steps.append((event, effects))

    def dump(self, why: str) -> None:
        self.dumps.append(why)

    @property
    def events(self) -> list[AnyEvent]:
        return [event for event, _ in self.steps]
