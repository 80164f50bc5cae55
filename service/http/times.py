"""Moments as the API writes them: RFC 3339 with as many digits of a nanosecond as it takes."""

from datetime import UTC, datetime

from statemachines.units import NS_PER_S


def rfc3339_utc(wall_ns: int) -> str:
    """A moment in UTC, such as ``2026-08-21T10:00:00.12Z``."""
    return _written(datetime.fromtimestamp(wall_ns // NS_PER_S, UTC), wall_ns)


def rfc3339_local(wall_ns: int) -> str:
    """A moment with this machine's offset from UTC, such as ``2026-08-21T12:00:00.12+02:00``."""
    return _written(datetime.fromtimestamp(wall_ns // NS_PER_S, UTC).astimezone(), wall_ns)


def _written(moment: datetime, wall_ns: int) -> str:
    fraction = f".{wall_ns % NS_PER_S:09d}".rstrip("0").rstrip(".")
    offset = moment.strftime("%z")
    zone = "Z" if offset == "+0000" else f"{offset[:3]}:{offset[3:5]}"
    return f"{moment:%Y-%m-%dT%H:%M:%S}{fraction}{zone}"
