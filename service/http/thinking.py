"""``think``: which values there are, and what this version says to each.

Whether a model thinks is only known from its file, so the value is read first and judged once the model is found.
"""

from service.http.errors import ApiError, not_served
from service.quoting import quoted
from statemachines.facts import ModelFacts

LEVELS = ("high", "medium", "low", "max")
Think = bool | str | None
"""None: the client did not say."""

_CHOICES = ", ".join(f'"{level}"' for level in LEVELS)
_EFFORTS: dict[str, Think] = {
    "": None,
    "none": False,
    "minimal": "low",
    "low": "low",
    "medium": "medium",
    "high": "high",
    "max": "max",
    "xhigh": "max",
    "ultra": "max",
}


def read_think(value: object) -> Think:
    """A ``think`` field.

    Raises:
        ApiError: 400, it is neither a boolean nor a level.
    """
    if value is None or isinstance(value, bool) or value in LEVELS:
        return value
    if isinstance(value, str):
        raise ApiError(400, f'invalid think value: "{quoted(value)}" (must be {_CHOICES}, true, or false)')
    raise ApiError(400, f"think must be a boolean or string ({_CHOICES}, true, or false)")


def read_effort(value: str) -> Think:
    """A ``reasoning_effort`` of the OpenAI API as a `Think`.

    Raises:
        ApiError: 400, there is no such effort.
    """
    if value not in _EFFORTS:
        choices = '"minimal", "low", "medium", "high", "xhigh", "ultra", "max", or "none"'
        raise ApiError(400, f'invalid reasoning value: "{quoted(value)}" (must be {choices})')
    return _EFFORTS[value]


def check_think(think: Think, facts: ModelFacts, reference: str, *, field: str = "think") -> None:
    """Refuse what would need thinking to be steered or told apart from the answer.

    Raises:
        ApiError: 400 when the model cannot think, 501 when it can and the client has a wish about it.
    """
    if "thinking" in facts.capabilities:
        if think is not None:
            raise not_served(field)
    elif think:
        raise ApiError(400, f'"{reference}" does not support thinking')
