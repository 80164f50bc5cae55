"""The incarnations that there are: started by the executor's word, found again by their ids."""

from collections.abc import Callable

import trio

from service.front import StoredModel
from service.incarnation import Incarnation, Surroundings
from statemachines.effects import SpawnRunner
from statemachines.events import SpawnFailed
from statemachines.facts import LoadKey
from statemachines.units import RunnerId


class Runners:
    """Incarnations by id, from the order to spawn until the core has buried them.

    Args:
        nursery: the service's own, never the web framework's.
        find_model: where the weights of a load key lie.
    """

    def __init__(
        self, nursery: trio.Nursery, around: Surroundings, *, find_model: Callable[[LoadKey], StoredModel | None]
    ) -> None:
        self._nursery = nursery
        self._around = around
        self._find_model = find_model
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
        self._nursery.start_soon(incarnation.run, name=f"runner {order.runner}")

    def forget(self, runner: RunnerId) -> None:
        """The core has buried it."""
        self._known.pop(runner, None)
