"""Ids and quantities: what a number means is said by its type or by the last word of its name.

All quantities are integers: bytes, nanoseconds, tokens, parts per million. Floating point enters only at the
edges (configuration in seconds, JSON), because integer sums are exact and the same on every machine.
"""

from typing import NewType

RequestId = NewType("RequestId", int)
"""One HTTP request that wants a model; given by the shell."""
LoadId = NewType("LoadId", int)
"""One wish for a loaded model; born in the core, in order of birth."""
RunnerId = NewType("RunnerId", int)
"""One incarnation of a runner process; born in the core, never reused."""
LeaseId = NewType("LeaseId", int)
"""One request's hold on one slot of one runner; a retried request gets a new one."""
DeviceId = NewType("DeviceId", str)
"""One memory that is accounted for: ``host``, or an engine's name for an accelerator."""

HOST = DeviceId("host")

NS_PER_MS = 1_000_000
NS_PER_S = 1_000_000_000
KIB = 1 << 10
MIB = 1 << 20
GIB = 1 << 30
PPM = 1_000_000
"""Parts per million: the integer form of a fraction."""

FOREVER_NS = (1 << 63) - 1
"""A keep-alive that never runs out."""


def seconds_to_ns(seconds: float) -> int:
    """Nanoseconds in ``seconds``, rounded, and never more than `FOREVER_NS`."""
    return round(min(seconds * NS_PER_S, FOREVER_NS))  # in this order: the product may be infinite


def whole_seconds(duration_ns: int) -> int:
    """Seconds that are not less than ``duration_ns``, and at least one: what ``Retry-After`` says."""
    return max(1, -(-duration_ns // NS_PER_S))


def format_bytes(count: int) -> str:
    """Bytes as a person reads them: ``512 B``, ``1.5 MiB``, ``23.4 GiB``."""
    for unit, size in (("GiB", GIB), ("MiB", MIB), ("KiB", KIB)):
        if abs(count) >= size:
            return f"{count / size:.1f} {unit}"
    return f"{count} B"


def format_duration(duration_ns: int) -> str:
    """A duration as a person reads it: ``forever``, ``250 ms``, ``2.5 s``."""
    if duration_ns >= FOREVER_NS:
        return "forever"
    if duration_ns < NS_PER_S:
        return f"{duration_ns // NS_PER_MS} ms"
    return f"{duration_ns / NS_PER_S:g} s"
