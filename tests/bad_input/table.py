"""The whole table, by what is bad about the input."""

from collections.abc import Callable, Iterator, Mapping

from tests.bad_input import durations, fields, malformed, names, options
from tests.bad_input.rows import Row

GROUPS: Mapping[str, Callable[[], Iterator[Row]]] = {
    "malformed": malformed.rows,
    "fields": fields.rows,
    "options": options.rows,
    "names": names.rows,
    "durations": durations.rows,
}
"""All rows that need no file. Some of them are megabytes, so they are made when they are needed."""
