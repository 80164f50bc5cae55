import pytest
from hypothesis import given
from hypothesis import strategies as st

from service.durations import parse_duration, parse_keep_alive, show_duration
from statemachines.units import FOREVER_NS, NS_PER_S


@pytest.mark.parametrize(
    ("text", "expected_ns"),
    [
        ("300ms", 300_000_000),
        ("5m", 300 * NS_PER_S),
        ("1h30m", 5400 * NS_PER_S),
        ("1.5h", 5400 * NS_PER_S),
        (".5s", 500_000_000),
        ("1.s", NS_PER_S),
        ("-1m", -60 * NS_PER_S),
        ("+2s", 2 * NS_PER_S),
        ("0", 0),
        ("7ns", 7),
        ("7us", 7000),
        ("7\u00b5s", 7000),
        ("7\u03bcs", 7000),
    ],
)
def test_a_duration_is_read_exactly(text: str, expected_ns: int) -> None:
    assert parse_duration(text) == expected_ns


@pytest.mark.parametrize("text", ["", "300", "5", "1d", "m", "5 m", "1h-30m", "--1s", "1m2", ".s", "five"])
def test_what_is_no_duration_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="no"):
        parse_duration(text)


@pytest.mark.parametrize(
    ("text", "expected_ns"),
    [
        ("90", 90 * NS_PER_S),
        ("0", 0),
        ("5m", 300 * NS_PER_S),
        ("-1", FOREVER_NS),
        ("-1s", FOREVER_NS),
        ("-30m", FOREVER_NS),
        ("999999999h", FOREVER_NS),
    ],
)
def test_a_keep_alive_is_seconds_or_a_duration_and_negative_is_forever(text: str, expected_ns: int) -> None:
    assert parse_keep_alive(text) == expected_ns


@pytest.mark.parametrize("text", ["1d", " ", "1.5", "forever"])
def test_a_keep_alive_of_another_form_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="no"):
        parse_keep_alive(text)


@pytest.mark.parametrize(
    ("duration_ns", "text"),
    [
        (0, "0s"),
        (1, "1ns"),
        (1_500, "1.5\u00b5s"),
        (4_648_158, "4.648158ms"),
        (NS_PER_S, "1s"),
        (90_250_000_000, "1m30.25s"),
        (7200 * NS_PER_S, "2h0m0s"),
        (-NS_PER_S, "-1s"),
    ],
)
def test_a_duration_is_shown_as_ollama_shows_it(duration_ns: int, text: str) -> None:
    assert show_duration(duration_ns) == text


@given(st.integers(-(10**18), 10**18))
def test_a_shown_duration_reads_back_as_itself(duration_ns: int) -> None:
    assert parse_duration(show_duration(duration_ns)) == duration_ns
