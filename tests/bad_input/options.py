"""Options of the wrong type and out of their range, each by its name, made from the tables of the product."""

import math
from collections.abc import Iterator
from typing import Any

from service.http.options import (
    BOOLEANS,
    FLOAT_RANGES,
    INTEGER_RANGES,
    NOT_SERVED_UNLESS,
    STOP_BYTES_MAX,
    STOP_STRINGS_MAX,
)
from tests.bad_input.rows import Row, row

NO_NUMBERS: list[Any] = ["1", "", True, False, [], [1], {}, {"x": 1}]
ROUTES = ("/api/generate", "/api/chat")


def rows() -> Iterator[Row]:
    """Each of them on both routes that take options."""
    for path in ROUTES:
        for name, value, status, message in wrong_options():
            yield row(f"{name} {_short(value)}", path, {"options": {name: value}}, status, message)


def wrong_options() -> Iterator[tuple[str, Any, int, str]]:
    """Name, value, status and message."""
    yield from _integers()
    yield from _floats()
    for name in BOOLEANS:
        for value in ("true", 1, 0, [], {}):
            yield name, value, 400, f'option "{name}" must be of type boolean'
    yield from _stops()
    for name, harmless in NOT_SERVED_UNLESS.items():
        yield name, harmless + 1, 501, _not_served(f'option "{name}"')
    yield "num_gpu", 1, 501, _not_served('option "num_gpu" above 0')


def _integers() -> Iterator[tuple[str, Any, int, str]]:
    for name, (low, high) in INTEGER_RANGES.items():
        for value in NO_NUMBERS:
            yield name, value, 400, f'option "{name}" must be of type integer'
        for value in (low - 1, high + 1, 10**30, -(10**30), 1e300, -1e300):
            yield name, value, 400, f'option "{name}" must be between {low} and {high}'


def _floats() -> Iterator[tuple[str, Any, int, str]]:
    for name, (low, high) in FLOAT_RANGES.items():
        for value in NO_NUMBERS:
            yield name, value, 400, f'option "{name}" must be of type float32'
        beyond = (math.nextafter(low, -math.inf), math.nextafter(high, math.inf), 10**300, -(10**300), 1e308, -1e308)
        for value in beyond:
            yield name, value, 400, f'option "{name}" must be between {low:g} and {high:g}'


def _stops() -> Iterator[tuple[str, Any, int, str]]:
    for value in ("a", 1, True, {}):
        yield "stop", value, 400, 'option "stop" must be of type array'
    for value in ([1], ["a", None], [["a"]], [{}]):
        yield "stop", value, 400, 'option "stop" must be of an array of strings'
    yield "stop", ["a"] * (STOP_STRINGS_MAX + 1), 400, f'option "stop" may hold at most {STOP_STRINGS_MAX} strings'
    long = f'a string of option "stop" may be at most {STOP_BYTES_MAX} bytes long'
    yield "stop", ["a" * (STOP_BYTES_MAX + 1)], 400, long


def _not_served(what: str) -> str:
    return f"{what} is not served yet; leave it out to get the default behaviour"


def _short(value: object) -> str:
    return repr(value)[:40]
