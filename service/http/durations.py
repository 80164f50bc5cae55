"""``keep_alive`` as clients write it, and durations as the API writes them back."""

import math

from service.cli.durations import parse_duration
from service.http.errors import ApiError
from statemachines.units import FOREVER_NS, NS_PER_MS, NS_PER_S

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
    if 0 < duration_ns < NS_PER_S:
        return _below_a_second(duration_ns)
    minutes, rest_ns = divmod(duration_ns, 60 * NS_PER_S)
    hours, minutes = divmod(minutes, 60)
    head = f"{hours}h{minutes}m" if hours else f"{minutes}m" if minutes else ""
    return f"{head}{_decimal(rest_ns, NS_PER_S)}s"


def _parsed(text: str) -> int:
    try:
        return parse_duration(text)
    except ValueError:
        quoted = text.replace("\\", "\\\\").replace('"', '\\"')
        raise ApiError(400, f'time: invalid duration "{quoted}"') from None


def _bounded(duration_ns: float) -> int:
    if duration_ns < 0 or duration_ns >= FOREVER_NS:
        return FOREVER_NS
    return math.floor(duration_ns)


def _below_a_second(duration_ns: int) -> str:
    for unit, size_ns in (("ms", NS_PER_MS), ("\u00b5s", 1_000)):
        if duration_ns >= size_ns:
            return f"{_decimal(duration_ns, size_ns)}{unit}"
    return f"{duration_ns}ns"


def _decimal(duration_ns: int, size_ns: int) -> str:
    whole, rest = divmod(duration_ns, size_ns)
    digits = len(str(size_ns)) - 1
    return f"{whole}.{rest:0{digits}d}".rstrip("0").rstrip(".") if rest else str(whole)
