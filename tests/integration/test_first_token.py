"""The benchmark of the first token measures: a tiny model, one turn of each kind, and nothing said about time."""

from dataclasses import replace
from pathlib import Path

from gguf import GGMLQuantizationType

from benchmarks.first_token import measured
from benchmarks.models import made
from benchmarks.turns import FIRST, SECOND, Plan
from tests.factory.random_model import random_model
from tests.factory.vocabulary import spm


def write_small(path: Path, seed: int) -> None:
    random_model(path, seed=seed, weights=GGMLQuantizationType.Q4_0, vocabulary=spm(size=1024))


def test_every_row_comes_with_as_many_figures_as_there_were_turns(tmp_path: Path) -> None:
    plan = Plan(tmp_path, threads=1, pairs=2, cold_rounds=1, requests=3, answer_tokens=2, pause_s=0)
    plan = replace(plan, context_tokens=64, write=write_small)
    for seed, name in enumerate((FIRST, SECOND), 1):
        made(plan.model(name), seed, plan.write)

    rows = {row.name: row for row in measured(plan)}

    assert {name: len(row.values) for name, row in rows.items()} == {
        "cold, over HTTP": 1,
        "cold, in-process": 1,
        "cold, over HTTP minus the prompt in its runner": 1,
        "cold, over HTTP minus in-process": 1,
        "a second model, asked for after the first by": 1,
        "a second model's load, without a spare": 1,
        "loaded, over HTTP": 2,
        "loaded, in-process": 2,
        "loaded, over HTTP minus the prompt in its runner": 2,
        "loaded, over HTTP minus in-process": 2,
        "in-process, each minus the one before it": 1,
        "service, idle after 3 requests": 1,
    }
    assert all(row.values[0] > 0 for name, row in rows.items() if "minus" not in name)
    assert len([row for row in rows.values() if row.limits]) == 4
