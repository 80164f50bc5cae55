"""Where a benchmark ran: machine and versions, since a figure without them says nothing."""

import platform
from pathlib import Path

import psutil

from service.version import engine_version, own_version


def surroundings() -> list[str]:
    """Lines for the head of a report."""
    memory_gib = psutil.virtual_memory().total / (1 << 30)
    return [
        f"machine     {processor()}, {psutil.cpu_count()} cores, {memory_gib:.1f} GiB; {platform.platform(terse=True)}",
        f"versions    roundhouse {own_version()}, {engine_version()}, Python {platform.python_version()}",
    ]


def processor(path: Path = Path("/proc/cpuinfo")) -> str:
    """The processor's name, where the system tells."""
    try:
        lines = path.read_text().splitlines()
    except OSError:
        lines = []
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.machine()
