"""``keep_alive`` in every wrong shape."""

from collections.abc import Iterator
from typing import Any

from tests.bad_input.rows import Row, row

NO_DURATIONS = [
    *("", " ", "5", "300", "-1", "+1", "1.5", "1e3", "abc", "m", "5 m", "5x", "5M", "1h30", "1h 30m", "--5s", "+-5s"),
    *(".", ".s", "5..5s", "0x10s", "\u0665s", "5\u2075s", "5s\n", "5s\0", "\0", "NaN", "inf", "Infinity", "never"),
    *("1d", "1w", "P1D", "PT5M", "5min", "5 minutes", "00:05:00", "null", "true", "[]", "{}", "5s;", "5s5", "s5"),
]
WRONG_TYPES: list[tuple[Any, str]] = [
    (True, "bool"),
    (False, "bool"),
    ([], "[]interface {}"),
    (["5m"], "[]interface {}"),
    ({}, "map[string]interface {}"),
    ({"s": 5}, "map[string]interface {}"),
]


def rows() -> Iterator[Row]:
    """Each of them on both routes that take one."""
    for path in ("/api/generate", "/api/chat"):
        for text in NO_DURATIONS:
            message = f'time: invalid duration "{text}"'
            yield row(f"the text {text!a}", path, {"keep_alive": text}, 400, message)
        for value, name in WRONG_TYPES:
            yield row(f"{value!r}", path, {"keep_alive": value}, 400, f"Unsupported type: '{name}'")
        for about, text in (("a million digits", "1" * 1_000_000), ("a million letters", "s" * 1_000_000)):
            yield row(about, path, {"keep_alive": text}, 400, f'time: invalid duration "{text[:640]}\u2026"')
