"""One step of the core: the time it happens at, the deadlines it may arm, the effects it leaves."""

from statemachines.deadlines import DeadlineName, Deadlines
from statemachines.effects import AnyEffect
from statemachines.limits import Limits


class Step:
    """What every action gets: append effects, arm and disarm deadlines, never read a clock.

    Attributes:
        at: core time of the event that is handled [ns].
        number: steps since the core was born; orders things that happen at the same time.
    """

    __slots__ = ("at", "deadlines", "effects", "limits", "number")

    def __init__(self, at: int, number: int, limits: Limits, deadlines: Deadlines) -> None:
        self.at = at
        self.number = number
        self.limits = limits
        self.deadlines = deadlines
        self.effects: list[AnyEffect] = []

    def emit(self, effect: AnyEffect) -> None:
        """Append an effect; effects are performed in this order."""
        self.effects.append(effect)

    def arm(self, name: DeadlineName, owner: int, duration_ns: int) -> None:
        """Make a deadline due ``duration_ns`` from this step."""
        self.deadlines.arm(name, owner, self.at + duration_ns)

    def disarm(self, name: DeadlineName, owner: int) -> None:
        self.deadlines.disarm(name, owner)
