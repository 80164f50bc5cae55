"""The incarnations that there are: started by the executor's word, found again by their ids."""

from collections.abc import Callable

import trio

from service.front import StoredModel
from service.incarnation import Incarnation, Surroundings
from statemachines.effects import SpawnRunner
from statemachines.events import SpawnFailed
from statemachines.facts import LoadKey
from statemachines.units import RunnerId


def unwatched(_loads: int) -> None:
    """For services without a spare."""


class Runners:
    """Incarnations by id, from the order to spawn until the core has buried them.

    Args:
        nursery: the service's own, never the web framework's.
        find_model: where the weights of a load key lie.
        on_loads: told how many of them are loading, whenever that changes [count].
    """

    def __init__(
        self,
        nursery: trio.Nursery,
        around: Surroundings,
        *,
        find_model: Callable[[LoadKey], StoredModel | None],
        on_loads: Callable[[int], None] = unwatched,
    ) -> None:
        self._nursery = nursery
        self._around = around
        self._find_model = find_model
        self._on_loads = on_loads
        self._loading: set[RunnerId] = set()
        self._known: dict[RunnerId, Incarnation] = {}

    def __getitem__(self, runner: RunnerId) -> Incarnation:
        return self._known[runner]

    def get(self, runner: RunnerId) -> Incarnation | None:
        return self._known.get(runner)

    def pids(self) -> dict[RunnerId, int]:
        """The processes that there are."""
        pids = ((runner, incarnation.record.pid) for runner, incarnation in self._known.items())
        return {runner: pid for runner, pid in pids if pid is not None}

    def spawn(self, order: SpawnRunner) -> None:
        """Start the supervised task of one incarnation."""
        model = self._find_model(order.key)
        if model is None:
            # Everybody who could say where the file lies has left; so has everybody who wanted it.
            self._around.post(SpawnFailed(runner=order.runner, message="the model's file is not known any more"))
            return
        incarnation = Incarnation(order, model, self._around)
        self._known[order.runner] = incarnation
        self._loading.add(order.runner)
        self._on_loads(len(self._loading))
        self._nursery.start_soon(incarnation.run, name=f"runner {order.runner}")

    def move(self, runner: RunnerId, state: str) -> None:
        """The core has moved it to another state."""
        incarnation = self._known.get(runner)
        if incarnation is not None:
            incarnation.record.state = state
        if runner in self._loading:
            self._loading.remove(runner)
            self._on_loads(len(self._loading))

    def forget(self, runner: RunnerId) -> None:
        """The core has buried it."""
        self._known.pop(runner, None)
