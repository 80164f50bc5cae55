"""The rule for measurements that the host disturbed."""

from collections.abc import Iterator

import pytest

from benchmarks.steal import REPEATS_MAX, SHARE_MAX, Reading, Undisturbed, read, share, undisturbed


def clocks(*shares: float) -> Iterator[Reading]:
    """Readings before and after measurements of a second each, of which such shares were stolen."""
    stolen_s = 0.0
    for number, stolen in enumerate(shares):
        yield Reading(stolen_s, number)
        stolen_s += stolen
        yield Reading(stolen_s, number + 1)


def test_stolen_time_is_a_share_of_the_time_that_passed() -> None:
    assert share(Reading(10.0, 100.0), Reading(10.5, 102.0)) == 0.25


def test_a_measurement_shorter_than_the_count_is_fine_has_a_share_all_the_same() -> None:
    assert share(Reading(1.0, 5.0), Reading(1.01, 5.0)) == pytest.approx(1)


@pytest.mark.parametrize(
    ("shares", "expected"),
    [
        ((0.0,), Undisturbed(1, 0.0, 0)),
        ((SHARE_MAX,), Undisturbed(1, SHARE_MAX, 0)),
        ((0.02, 0.5, 0.0), Undisturbed(3, 0.0, 2)),
        ((0.02,) * (1 + REPEATS_MAX), Undisturbed(1 + REPEATS_MAX, pytest.approx(0.02), REPEATS_MAX)),
    ],
)
def test_a_disturbed_measurement_is_repeated_and_in_the_end_counts_as_it_is(
    shares: tuple[float, ...], expected: Undisturbed[int]
) -> None:
    done: list[int] = []

    def measure() -> int:
        done.append(1)
        return len(done)

    assert undisturbed(measure, clocks(*shares).__next__) == expected
    assert len(done) == len(shares)


def test_this_machine_tells_what_was_stolen() -> None:
    before, after = read(), read()
    assert after.stolen_s >= before.stolen_s >= 0
    assert after.passed_s >= before.passed_s
