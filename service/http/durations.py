"""``keep_alive`` as clients write it, and durations as the API writes them back."""

import math

from service.durations import parse_duration, show_duration
from service.http.errors import ApiError
from service.quoting import quoted
from statemachines.units import FOREVER_NS, NS_PER_S

# How clients of this API have always been told what they sent.
_TYPE_NAMES = {bool: "bool", list: "[]interface {}", dict: "map[string]interface {}"}


def keep_alive_ns(value: object) -> int | None:
    """Nanoseconds of a ``keep_alive``: None keeps what is there, negative is for ever, 0 unloads when idle.

    Raises:
        ApiError: 400, it is neither a number of seconds nor a duration.
    """
    if value is None:
        return None
    if isinstance(value, str):
        return _bounded(_parsed(value))
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise ApiError(400, f"Unsupported type: '{_TYPE_NAMES.get(type(value), type(value).__name__)}'")
    return _bounded(value * NS_PER_S)


def go_duration(duration_ns: int) -> str | int:
    """A keep-alive written back: ``5m0s``, ``1.5s``, ``250ms``, or -1 for one that never ends."""
    if duration_ns >= FOREVER_NS or duration_ns < 0:
        return -1
    return show_duration(duration_ns)


def _parsed(text: str) -> int:
    try:
        return parse_duration(text)
    except ValueError:
        escaped = quoted(text).replace("\\", "\\\\").replace('"', '\\"')
        raise ApiError(400, f'time: invalid duration "{escaped}"') from None


def _bounded(duration_ns: float) -> int:
    if duration_ns < 0 or duration_ns >= FOREVER_NS:
        return FOREVER_NS
    return math.floor(duration_ns)
