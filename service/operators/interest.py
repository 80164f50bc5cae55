"""Which steps of the journal somebody wants to see: those that name a request, a load, a runner, a model.

A model is named when something of it begins; what follows names only ids. So an interest in a model learns the ids as
it reads, oldest step first, and begins with those that live.
"""

from collections.abc import Iterable

from statemachines.effects import AnyEffect
from statemachines.events import AnyEvent
from statemachines.journal import Entry
from statemachines.snapshot import StateView

KINDS = ("request", "load", "runner")
Item = AnyEvent | AnyEffect
Id = tuple[str, int]
IDS_MAX = 10_000
"""Ids of one model that are remembered; what was not named for longest goes first, and is over by then."""


class Interest:
    """What is wanted; everything when nothing is named.

    Args:
        ids: by kind, one of `KINDS`.
        model: its name, as it is shown.

    Attributes:
        is_all: everything is wanted.
        learns: what is wanted depends on the steps that were read.
    """

    def __init__(self, ids: Iterable[Id] = (), model: str | None = None) -> None:
        self._ids = dict.fromkeys(ids)
        self._model = model
        self.is_all = not self._ids and model is None
        self.learns = model is not None

    def learn(self, view: StateView) -> None:
        """What lives of the model."""
        living = (("runner", view.runners), ("runner", view.dead), ("load", view.loads), ("request", view.requests))
        for kind, views in living:
            self._remember((kind, getattr(one, kind)) for one in views if one.model == self._model)

    def __contains__(self, entry: Entry) -> bool:
        """Whether the step names something that is wanted."""
        if self.is_all:
            return True
        items = (entry.event, *entry.effects)
        for item in items:
            if self._model is not None and getattr(item, "model", None) == self._model:
                self._remember(_named(item))
        return any(self._recalls(_named(item)) for item in items)

    def _recalls(self, named: Iterable[Id]) -> bool:
        """Whether one of them is wanted; it thereby becomes the youngest."""
        known = [one for one in named if one in self._ids]
        if self.learns:
            self._remember(known)
        return bool(known)

    def _remember(self, ids: Iterable[Id]) -> None:
        for one in ids:
            self._ids.pop(one, None)
            self._ids[one] = None
        while len(self._ids) > IDS_MAX:
            del self._ids[next(iter(self._ids))]


def _named(item: Item) -> list[Id]:
    """Whom an event or an effect names."""
    named = [(kind, number) for kind in KINDS if (number := getattr(item, kind, None)) is not None]
    machine, number = getattr(item, "machine", None), getattr(item, "id", None)
    return [*named, (machine, number)] if machine is not None and number is not None else named
