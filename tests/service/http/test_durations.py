"""keep_alive: every form that clients write."""

import pytest

from service.http.durations import go_duration, keep_alive_ns
from service.http.errors import ApiError
from statemachines.units import FOREVER_NS, NS_PER_S


@pytest.mark.parametrize(
    ("value", "expected_ns"),
    [
        (None, None),
        (0, 0),
        (0.0, 0),
        (300, 300 * NS_PER_S),
        (0.5, NS_PER_S // 2),
        (-1, FOREVER_NS),
        (-0.5, FOREVER_NS),
        (1e300, FOREVER_NS),
        (10**30, FOREVER_NS),
        ("0", 0),
        ("0s", 0),
        ("300ms", 300_000_000),
        ("5m", 300 * NS_PER_S),
        ("1h30m", 5400 * NS_PER_S),
        ("1.5h", 5400 * NS_PER_S),
        (".5s", NS_PER_S // 2),
        ("+5s", 5 * NS_PER_S),
        ("10us", 10_000),
        ("10\u00b5s", 10_000),
        ("7ns", 7),
        ("-1s", FOREVER_NS),
        ("-1ns", FOREVER_NS),
        ("9999999h", FOREVER_NS),
    ],
)
def test_a_keep_alive_is_read(value: object, expected_ns: int | None) -> None:
    assert keep_alive_ns(value) == expected_ns


@pytest.mark.parametrize(
    "value", ["", "300", "5", "-1", "abc", "5 m", "5x", "m", "1h30", ".", "--5s", "5M", "1e3s", "1" * 99]
)
def test_another_string_is_no_duration(value: str) -> None:
    with pytest.raises(ApiError) as caught:
        keep_alive_ns(value)
    assert caught.value.status == 400
    assert caught.value.message == f'time: invalid duration "{value}"'


@pytest.mark.parametrize("value", ["1" * 1_000_000, "1s" * 500_000, "9" * 100 + "s"])
def test_a_very_long_one_is_refused_at_once_and_repeated_in_part(value: str) -> None:
    """An earlier pattern went back and forth over digits: 800 of them took it three seconds, these for ever."""
    with pytest.raises(ApiError) as caught:
        keep_alive_ns(value)
    assert caught.value.message.startswith('time: invalid duration "')
    assert len(caught.value.message) < 700


@pytest.mark.parametrize(("value", "name"), [(True, "bool"), ([], "[]interface {}"), ({}, "map[string]interface {}")])
def test_another_type_is_named(value: object, name: str) -> None:
    with pytest.raises(ApiError) as caught:
        keep_alive_ns(value)
    assert (caught.value.status, caught.value.message) == (400, f"Unsupported type: '{name}'")


@pytest.mark.parametrize(
    ("duration_ns", "expected"),
    [
        (0, "0s"),
        (1, "1ns"),
        (1_500, "1.5\u00b5s"),
        (250_000_000, "250ms"),
        (1_100_000, "1.1ms"),
        (NS_PER_S, "1s"),
        (1_500_000_000, "1.5s"),
        (300 * NS_PER_S, "5m0s"),
        (3600 * NS_PER_S, "1h0m0s"),
        (5_400_000_000_001, "1h30m0.000000001s"),
        (FOREVER_NS, -1),
        (-1, -1),
    ],
)
def test_a_keep_alive_is_written_back(duration_ns: int, expected: object) -> None:
    assert go_duration(duration_ns) == expected
