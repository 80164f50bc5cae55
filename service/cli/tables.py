"""Tables, sizes and times as Ollama's command line prints them, because scripts read them.

The layout has no borders: each cell is padded to its column and followed by four spaces, also the last one of a row;
only the header's last cell is followed by a single space.
"""

from collections.abc import Sequence
from datetime import datetime, timedelta

_GAP = " " * 4
_DECIMAL_UNITS = (("TB", 10**12), ("GB", 10**9), ("MB", 10**6), ("KB", 10**3))
_YEAR_H = 24 * 365
_FOREVER_YEARS = 20
"""Ollama has no "never expires" on the wire; a date this far away means it."""
_ID_DIGITS = 12


def table(header: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """The whole table, each line with its end."""
    widths = [max(len(cell) for cell in column) for column in zip(header, *rows, strict=True)]
    head = _GAP.join(cell.ljust(width) for cell, width in zip(header, widths, strict=True)) + " "
    lines = [head, *("".join(cell.ljust(w) + _GAP for cell, w in zip(row, widths, strict=True)) for row in rows)]
    return "".join(f"{line}\n" for line in lines)


def short_id(digest: str) -> str:
    """The first digits of a digest; a dash while it is still being computed."""
    return digest[:_ID_DIGITS] or "-"


def decimal_bytes(count: int) -> str:
    """``999 B``, ``1.2 GB``, ``15 GB``: units of a thousand, cut rather than rounded from ten on."""
    for unit, factor in _DECIMAL_UNITS:
        if count >= factor:
            value = count / factor
            return f"{int(value)} {unit}" if value >= 10 or value == int(value) else f"{value:.1f} {unit}"
    return f"{count} B"


def processor(size_bytes: int, vram_bytes: int) -> str:
    """Where a loaded model is.

    1. Nothing on a GPU. 2. All of it. 3. Figures that contradict each other. 4. Both, in per cent.
    """
    if vram_bytes == 0:  # (1)
        return "100% CPU"
    if vram_bytes == size_bytes:  # (2)
        return "100% GPU"
    if vram_bytes > size_bytes:  # (3)
        return "Unknown"
    cpu = int((size_bytes - vram_bytes) / size_bytes * 100 + 0.5)  # (4)
    return f"{cpu}%/{100 - cpu}% CPU/GPU"


def ago(moment: datetime, now: datetime) -> str:
    """``24 hours ago``, ``5 minutes from now``, ``Forever``, ``Never``."""
    if moment.year == 1:  # the zero time of Go
        return "Never"
    if moment <= now:
        return f"{human_duration(now - moment)} ago"
    left = moment - now
    if left > timedelta(hours=_FOREVER_YEARS * _YEAR_H):
        return "Forever"
    return f"{human_duration(left)} from now"


def until(moment: datetime, now: datetime) -> str:
    """When a loaded model leaves; one whose time is over is on its way out."""
    return "Stopping..." if moment < now and moment.year != 1 else ago(moment, now)


def human_duration(span: timedelta) -> str:
    """About how long, in the largest unit that leaves a small number; only hours are rounded, the rest is cut."""
    seconds_s = int(span.total_seconds())
    hours = int(span.total_seconds() / 3600 + 0.5)
    if seconds_s < 60:
        return {0: "Less than a second", 1: "1 second"}.get(seconds_s, f"{seconds_s} seconds")
    if seconds_s < 3600:
        return "About a minute" if seconds_s < 120 else f"{seconds_s // 60} minutes"
    if hours == 1:
        return "About an hour"
    for unit, length_h, below_h in (("hours", 1, 48), ("days", 24, 24 * 14), ("weeks", 24 * 7, 24 * 60)):
        if hours < below_h:
            return f"{hours // length_h} {unit}"
    return f"{hours // (24 * 30)} months" if hours < 2 * _YEAR_H else f"{seconds_s // 3600 // _YEAR_H} years"
