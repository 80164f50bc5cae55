"""What a load really took, read from the engine's log: the engine offers no other way to learn it.

The lines belong to the pinned release; a canary test (tests/integration/test_engine_report.py) fails when a new one
words them differently. A line that is not understood is skipped: a report with gaps is completed by the formula.
"""

import re
from collections.abc import Iterable

import msgspec

from statemachines.facts import AllocationReport, DeviceBytes
from statemachines.units import HOST, MIB

_BUFFER = re.compile(
    r"^\w+:\s+(?P<buffer>\S+)\s+(?P<what>model|KV|RS|compute|output) buffer size"
    r"\s*=\s*(?P<mib>\d{1,12}(\.\d{1,6})?) MiB"
)
_OFFLOADED = re.compile(r"offloaded (?P<layers>\d+)/\d+ layers to GPU")

_FIELDS = {"KV": "kv_bytes", "RS": "kv_bytes", "compute": "compute_bytes", "output": "output_bytes"}
_REPLACED = frozenset({"compute_bytes", "output_bytes"})
"""Buffers that are logged again when they are made anew: the last line counts. All others add up."""


def parse_report(texts: Iterable[str]) -> AllocationReport:
    """Bytes by device, from the log lines of one load, in order of their first mention."""
    devices: dict[str, DeviceBytes] = {}
    for match in filter(None, map(_BUFFER.match, texts)):
        device = device_of(match["buffer"])
        held = devices.get(device, DeviceBytes(device))
        devices[device] = _add(held, match, round(float(match["mib"]) * MIB))
    return AllocationReport(tuple(devices.values()))


def parse_offloaded(texts: Iterable[str]) -> int:
    """Layers that went to accelerators; 0 where nothing says so, as on a build without any [count]."""
    found = [int(match["layers"]) for match in map(_OFFLOADED.search, texts) if match]
    return found[-1] if found else 0


def device_of(buffer: str) -> str:
    """Which memory a buffer type lies in: ``CPU_REPACK`` and pinned ``CUDA_Host`` are the host's, ``CUDA0`` its own."""
    if buffer.startswith(("CPU", "AMX")) or buffer.endswith("_Host"):
        return HOST
    return buffer.removesuffix("_Mapped").removesuffix("_Private")


def _add(held: DeviceBytes, match: re.Match[str], size_bytes: int) -> DeviceBytes:
    field = _field_of(match["what"], match["buffer"])
    before = 0 if field in _REPLACED else getattr(held, field)
    return msgspec.structs.replace(held, **{field: before + size_bytes})


def _field_of(what: str, buffer: str) -> str:
    if what != "model":
        return _FIELDS[what]
    return "mapped_bytes" if buffer.endswith("_Mapped") else "weight_bytes"
