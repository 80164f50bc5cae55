"""Which listener an application answers on, and so what it shows."""

from enum import Enum


class Door(Enum):
    """One listener as its application sees it.

    API: what clients see. Operators have a listener of their own.
    OPERATORS: that listener; only this machine can reach it.
    BOTH: one listener for both, where operators must be on this machine.
    """

    API = "api"
    OPERATORS = "operators"
    BOTH = "both"
