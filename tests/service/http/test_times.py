"""Moments as the API writes them."""

import time
from collections.abc import Iterator

import pytest

from service.http.times import rfc3339_local, rfc3339_utc
from statemachines.units import FOREVER_NS

AT_NS = 1_700_000_000_000_000_000


@pytest.fixture
def zone(monkeypatch: pytest.MonkeyPatch) -> Iterator[pytest.MonkeyPatch]:
    yield monkeypatch
    monkeypatch.undo()
    time.tzset()


@pytest.mark.parametrize(
    ("wall_ns", "expected"),
    [
        (AT_NS, "2023-11-14T22:13:20Z"),
        (AT_NS + 120_000_000, "2023-11-14T22:13:20.12Z"),
        (AT_NS + 1, "2023-11-14T22:13:20.000000001Z"),
        (0, "1970-01-01T00:00:00Z"),
        (AT_NS + FOREVER_NS, "2316-02-24T22:00:36.854775807Z"),
    ],
)
def test_utc_has_as_many_digits_as_it_takes(wall_ns: int, expected: str) -> None:
    assert rfc3339_utc(wall_ns) == expected


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("UTC0", "2023-11-14T22:13:20.5Z"),
        ("XXX-5:30", "2023-11-15T03:43:20.5+05:30"),
        ("YYY+8", "2023-11-14T14:13:20.5-08:00"),
    ],
)
def test_local_time_carries_its_offset(zone: pytest.MonkeyPatch, name: str, expected: str) -> None:
    zone.setenv("TZ", name)
    time.tzset()
    assert rfc3339_local(AT_NS + 500_000_000) == expected
