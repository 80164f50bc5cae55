import pytest
from hypothesis import given
from hypothesis import strategies as st

from service.cli.amounts import BYTES_MAX, parse_bytes, show_bytes, show_keep_alive, show_seconds
from service.cli.values import seconds
from service.durations import parse_keep_alive
from statemachines.units import FOREVER_NS, NS_PER_S

AMOUNTS = st.integers(0, BYTES_MAX)
SECONDS = st.integers(0, 10**6 * NS_PER_S)
"""Up to eleven days: beyond that a float of seconds loses nanoseconds, which nobody writes."""


@given(AMOUNTS)
def test_bytes_are_shown_as_what_is_read_back(count: int) -> None:
    assert parse_bytes(show_bytes(count)) == count


@given(st.integers(0, FOREVER_NS))
def test_keep_alives_are_shown_as_what_is_read_back(duration_ns: int) -> None:
    assert parse_keep_alive(show_keep_alive(duration_ns)) == duration_ns


@given(SECONDS)
def test_seconds_are_shown_as_what_is_read_back(duration_ns: int) -> None:
    assert seconds().parse(show_seconds(duration_ns)) == duration_ns


@pytest.mark.parametrize("text", ["", "-1", "1.", ".5", "1 parsec", "1e3", "1_000", "8EiB", str(BYTES_MAX + 1)])
def test_other_words_are_no_bytes(text: str) -> None:
    with pytest.raises(ValueError):  # noqa: PT011 - the source gives the sentence
        parse_bytes(text)
