"""Moments as the API writes them: RFC 3339 with as many digits of a nanosecond as it takes."""

from datetime import UTC, datetime
from functools import lru_cache

from statemachines.units import NS_PER_S


def rfc3339_utc(wall_ns: int) -> str:
    """A moment in UTC, such as ``2026-08-21T10:00:00.12Z``."""
    return f"{_utc_second(wall_ns // NS_PER_S)}{_fraction(wall_ns)}Z"


def rfc3339_local(wall_ns: int) -> str:
    """A moment with this machine's offset from UTC, such as ``2026-08-21T12:00:00.12+02:00``."""
    moment = datetime.fromtimestamp(wall_ns // NS_PER_S, UTC).astimezone()
    offset = moment.strftime("%z")
    zone = "Z" if offset == "+0000" else f"{offset[:3]}:{offset[3:5]}"
    return f"{moment:%Y-%m-%dT%H:%M:%S}{_fraction(wall_ns)}{zone}"


@lru_cache(maxsize=2)
def _utc_second(second: int) -> str:
    """Every piece of an answer says when it was made, and many are made in one second."""
    return f"{datetime.fromtimestamp(second, UTC):%Y-%m-%dT%H:%M:%S}"


def _fraction(wall_ns: int) -> str:
    return f".{wall_ns % NS_PER_S:09d}".rstrip("0").rstrip(".")
