from datetime import UTC, datetime, timedelta

import pytest

from service.cli.client import ListedModel, LoadedModel
from service.cli.listing import loaded_table, models_table
from service.cli.tables import ago, decimal_bytes, human_duration, processor, table, until

NOW = datetime(2026, 8, 22, 12, 0, tzinfo=UTC)


def test_the_list_is_laid_out_as_scripts_expect_it() -> None:
    model = ListedModel("model1", NOW - timedelta(hours=24), size=1024, digest="sha256:abc123")
    assert models_table([model], NOW) == (
        "NAME      ID              SIZE      MODIFIED     \nmodel1    sha256:abc12    1.0 KB    24 hours ago    \n"
    )


def test_an_empty_table_has_only_its_header() -> None:
    assert table(("NAME", "ID"), []) == "NAME    ID \n"


def test_a_loaded_model_shows_where_it_is_and_how_long_it_stays() -> None:
    model = LoadedModel("m:latest", NOW + timedelta(minutes=5), 2_000_000_000, 500_000_000, "0123456789abcdef", 4096)
    header, row = loaded_table([model], NOW).splitlines()
    assert header.split() == ["NAME", "ID", "SIZE", "PROCESSOR", "CONTEXT", "UNTIL"]
    assert row == "m:latest    0123456789ab    2 GB    75%/25% CPU/GPU    4096       5 minutes from now    "


def test_a_digest_that_is_still_computed_is_a_dash() -> None:
    assert models_table([ListedModel("m", NOW)], NOW).splitlines()[1].split()[1] == "-"


@pytest.mark.parametrize(
    ("count", "text"),
    [
        (0, "0 B"),
        (999, "999 B"),
        (1000, "1 KB"),
        (1024, "1.0 KB"),
        (999_999, "999 KB"),
        (1_200_000_000, "1.2 GB"),
        (15_900_000_000, "15 GB"),
        (1_999_999_999_999, "2.0 TB"),
        (20_000_000_000_000, "20 TB"),
    ],
)
def test_sizes_are_decimal(count: int, text: str) -> None:
    assert decimal_bytes(count) == text


@pytest.mark.parametrize(
    ("size", "vram", "text"),
    [
        (100, 0, "100% CPU"),
        (100, 100, "100% GPU"),
        (0, 0, "100% CPU"),
        (0, 5, "Unknown"),
        (100, 101, "Unknown"),
        (1000, 345, "66%/34% CPU/GPU"),
    ],
)
def test_the_processor_is_shown_by_share(size: int, vram: int, text: str) -> None:
    assert processor(size, vram) == text


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0, "Less than a second"),
        (0.99, "Less than a second"),
        (1, "1 second"),
        (59, "59 seconds"),
        (60, "About a minute"),
        (119, "About a minute"),
        (120, "2 minutes"),
        (3599, "59 minutes"),
        (3600, "About an hour"),
        (5399, "About an hour"),
        (5400, "2 hours"),
        (47 * 3600, "47 hours"),
        (48 * 3600, "2 days"),
        (14 * 86400, "2 weeks"),
        (60 * 86400, "2 months"),
        (2 * 365 * 86400, "2 years"),
    ],
)
def test_spans_are_told_in_words(seconds: float, text: str) -> None:
    assert human_duration(timedelta(seconds=seconds)) == text


def test_moments_are_told_from_now() -> None:
    assert ago(NOW - timedelta(days=2), NOW) == "2 days ago"
    assert ago(NOW + timedelta(hours=48), NOW) == "2 days from now"
    assert ago(NOW + timedelta(days=365 * 200), NOW) == "Forever"
    assert ago(datetime(1, 1, 1, tzinfo=UTC), NOW) == "Never"


def test_a_model_whose_time_is_over_is_stopping() -> None:
    assert until(NOW - timedelta(seconds=1), NOW) == "Stopping..."
    assert until(NOW + timedelta(seconds=30), NOW) == "30 seconds from now"
    assert until(datetime(1, 1, 1, tzinfo=UTC), NOW) == "Never"
