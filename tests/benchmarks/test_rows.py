"""Rows of figures: what a percentile is, what counts as missed, and what is printed."""

import pytest

from benchmarks.rows import Limit, Row, differences, percentile, successive


@pytest.mark.parametrize(
    ("percent", "expected"),
    [(0, 1), (1, 1), (50, 5), (51, 6), (95, 10), (90, 9), (100, 10)],
)
def test_a_percentile_is_a_value_that_was_measured(percent: float, expected: float) -> None:
    assert percentile([10, 9, 8, 7, 6, 5, 4, 3, 2, 1], percent) == expected


def test_of_one_value_every_percentile_is_that_value() -> None:
    assert [percentile([7.5], percent) for percent in (0, 50, 95, 100)] == [7.5] * 4


def test_of_50_values_the_95th_percentile_leaves_out_the_two_largest() -> None:
    assert percentile([*range(50)], 95) == 47


def test_differences_are_taken_pair_by_pair() -> None:
    assert differences([3, 5, 7], [1, 6, 7]) == [2, -1, 0]
    with pytest.raises(ValueError, match="shorter"):
        differences([1, 2], [1])


def test_a_measurement_is_compared_with_the_one_before_it() -> None:
    assert successive([4, 6, 5]) == [2, -1]


def test_a_limit_holds_for_its_percentile_only() -> None:
    values = [1.0] * 18 + [100.0] * 2
    row = Row("a row", values, limits=(Limit(50, 1), Limit(95, 99.9)))
    assert row.missed == [Limit(95, 99.9)]


def test_what_is_just_met_is_met() -> None:
    assert Row("a row", [3.0], limits=(Limit(50, 3),)).missed == []


def test_a_row_is_printed_with_its_figures_its_limits_and_its_remark() -> None:
    row = Row("a row", [1.0, 2.0, 3.0], "MB", (Limit(50, 2), Limit(95, 2.5)), "as it was")
    words = " ".join(str(row).split())
    assert words == (
        "a row p50 2.00 p95 3.00 (1.00 to 3.00) MB, n=3 must be p50 <= 2: met must be p95 <= 2.5: MISSED as it was"
    )
