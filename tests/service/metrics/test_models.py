"""The label of a model has a bound."""

import string

from hypothesis import given
from hypothesis import strategies as st

from service.metrics.counts import Counts
from service.metrics.models import OTHER, ModelLabels
from service.metrics.registry import Metrics
from statemachines.units import NS_PER_S
from tests.service.metrics.reading import Reading


def test_the_first_models_keep_their_names_and_the_others_share_one() -> None:
    labels = ModelLabels(2)
    assert [labels.of(name) for name in ("a", "b", "c", "a", "d", "b")] == ["a", "b", OTHER, "a", OTHER, "b"]


@given(st.lists(st.text(min_size=1), max_size=30))
def test_hostile_names_neither_break_the_format_nor_grow_it(names: list[str]) -> None:
    counts = Counts(Metrics(), models_max=3)
    for name in names:
        counts.answers.note_first_text(name, NS_PER_S)
    read = Reading(counts.metrics.exposition())
    counted = read.by("time_to_first_token_seconds_count", "model")
    assert sum(counted.values()) == len(names)
    assert len(counted) <= 4
    assert set(counted) <= {*names, OTHER}


def test_a_name_of_quotes_and_newlines_reads_as_it_was() -> None:
    counts = Counts(Metrics(), models_max=3)
    name = string.printable + '"} 1\nroundhouse_fake 1'
    counts.answers.note_first_text(name, NS_PER_S)
    read = Reading(counts.metrics.exposition())
    assert read.by("time_to_first_token_seconds_count", "model") == {name: 1}
    assert "roundhouse_fake" not in read.families
