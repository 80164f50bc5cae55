"""Facts for lists of models: one file that cannot be read must not hide the others."""

from collections.abc import Iterable, Iterator

import trio

from service.front import Store, StoredModel
from statemachines.errors import RoundhouseError
from statemachines.facts import ModelFacts

READERS = 4
"""Model files that one listing reads at a time, when their facts are not cached yet [count]."""


async def facts_or_none(store: Store, model: StoredModel) -> ModelFacts | None:
    """What the file says of itself, or None when it cannot be read as a model."""
    try:
        return await store.facts(model)
    except RoundhouseError:
        return None


async def facts_of(store: Store, models: Iterable[StoredModel]) -> dict[str, ModelFacts | None]:
    """The facts of each model by its name."""
    found: dict[str, ModelFacts | None] = {}
    waiting = iter(models)
    async with trio.open_nursery() as nursery:
        for _ in range(READERS):
            nursery.start_soon(_read_some, store, waiting, found)
    return found


async def _read_some(store: Store, waiting: Iterator[StoredModel], found: dict[str, ModelFacts | None]) -> None:
    for model in waiting:
        found[model.name] = await facts_or_none(store, model)
