"""Bytes and durations as operators write them, and as they are shown: each shown text means the same value again."""

import re
from fractions import Fraction

from statemachines.units import FOREVER_NS, GIB, KIB, MIB, NS_PER_S

_BYTE_UNITS = {"": 1, "b": 1, "k": KIB, "kib": KIB, "kb": 10**3, "m": MIB, "mib": MIB, "mb": 10**6}
_BYTE_UNITS |= {"g": GIB, "gib": GIB, "gb": 10**9, "t": GIB << 10, "tib": GIB << 10, "tb": 10**12}
_BYTES = re.compile(r"(\d+(?:\.\d+)?)\s*([a-z]*)", re.ASCII | re.IGNORECASE)

BYTES_MAX = (1 << 63) - 1
"""What a journal can write down; no machine has more."""


def parse_bytes(text: str) -> int:
    """Bytes, with or without a unit.

    Raises:
        ValueError: it is no number of bytes.
    """
    match = _BYTES.fullmatch(text)
    if match is None or match[2].lower() not in _BYTE_UNITS:
        raise ValueError
    count = int(Fraction(match[1]) * _BYTE_UNITS[match[2].lower()])
    if count > BYTES_MAX:
        raise ValueError
    return count


def show_seconds(value_ns: int) -> str:
    """Seconds, exact to the nanosecond: ``60``, ``0.25``."""
    whole, rest_ns = divmod(value_ns, NS_PER_S)
    return f"{whole}.{rest_ns:09}".rstrip("0") if rest_ns else str(whole)


def show_bytes(value: int) -> str:
    """Bytes in the largest unit that leaves a whole number: ``64MiB``, ``1000``."""
    for unit, factor in (("GiB", GIB), ("MiB", MIB), ("KiB", KIB)):
        if value and value % factor == 0:
            return f"{value // factor}{unit}"
    return str(value)


def show_keep_alive(value_ns: int) -> str:
    """A duration in the largest unit that leaves a whole number: ``5m``, ``90s``; ``-1`` never ends."""
    if value_ns == FOREVER_NS:
        return "-1"
    for unit, factor in (("h", 3600 * NS_PER_S), ("m", 60 * NS_PER_S)):
        if value_ns and value_ns % factor == 0:
            return f"{value_ns // factor}{unit}"
    return f"{value_ns}ns" if value_ns % NS_PER_S else f"{value_ns // NS_PER_S}s"
