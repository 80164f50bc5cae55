"""Durations as Ollama's clients and operators write them: ``5m``, ``1h30m``, ``300ms``, ``-1``, ``90``."""

import re
from fractions import Fraction

from statemachines.units import FOREVER_NS, NS_PER_MS, NS_PER_S

_UNIT_NS = {
    "ns": 1,
    "us": 1_000,
    "\u00b5s": 1_000,  # the micro sign
    "\u03bcs": 1_000,  # the Greek letter mu, which looks the same
    "ms": NS_PER_MS,
    "s": NS_PER_S,
    "m": 60 * NS_PER_S,
    "h": 3600 * NS_PER_S,
}
_PART = re.compile(r"(\d++(?:\.\d*+)?|\.\d++)([a-z\u00b5\u03bc]++)", re.ASCII)  # never looks at a letter twice
CHARS_MAX = 100
"""More than any duration needs. A longer text is none, whatever it says."""

KEEP_ALIVE_FORMS = "a duration such as 90s, 5m or 1h30m, a number of seconds, 0 (unload when idle) or -1 (forever)"


def parse_duration(text: str) -> int:
    """Nanoseconds in a duration of signed number-and-unit pairs (``1h30m``, ``-1.5s``, or a bare ``0``).

    Raises:
        ValueError: it is no such duration.
    """
    sign, body = (-1, text[1:]) if text.startswith("-") else (1, text.removeprefix("+"))
    if body == "0":
        return 0
    parts = list(_PART.finditer(body)) if len(text) <= CHARS_MAX else []
    if not parts or "".join(part.group() for part in parts) != body:
        raise ValueError(f"{text!r} is no duration")
    return sign * sum(_part_ns(part) for part in parts)


def parse_keep_alive(text: str) -> int:
    """Nanoseconds of a keep-alive: a duration or whole seconds; a negative one never ends.

    Raises:
        ValueError: it is neither.
    """
    duration_ns = int(text) * NS_PER_S if re.fullmatch(r"[+-]?\d{1,18}", text) else parse_duration(text)
    return FOREVER_NS if duration_ns < 0 else min(duration_ns, FOREVER_NS)


def _part_ns(part: re.Match[str]) -> int:
    number, unit = part.groups()
    if unit not in _UNIT_NS:
        raise ValueError(f"{unit!r} is no unit of time")
    return int(Fraction(number.rstrip(".")) * _UNIT_NS[unit])


def show_duration(duration_ns: int) -> str:
    """A duration as Ollama prints it: ``0s``, ``2.5ms``, ``1m30.25s``, ``2h0m0s``; exact to the nanosecond."""
    if duration_ns < 0:
        return f"-{show_duration(-duration_ns)}"
    if 0 < duration_ns < NS_PER_S:
        unit, factor = next(
            item for item in (("ms", NS_PER_MS), ("\u00b5s", 1_000), ("ns", 1)) if duration_ns >= item[1]
        )
        return f"{_decimal(duration_ns, factor)}{unit}"
    minutes, rest_ns = divmod(duration_ns, 60 * NS_PER_S)
    hours, minutes = divmod(minutes, 60)
    front = f"{hours}h{minutes}m" if hours else f"{minutes}m" if minutes else ""
    return f"{front}{_decimal(rest_ns, NS_PER_S)}s"


def _decimal(count: int, factor: int) -> str:
    whole, rest = divmod(count, factor)
    digits = len(str(factor)) - 1
    return f"{whole}.{rest:0{digits}}".rstrip("0") if rest else str(whole)
