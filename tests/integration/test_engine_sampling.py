"""Sampling is llama.cpp's own: 2,000 draws per option against exact probabilities, all options together against a chain
that is built by hand, and one text per seed.

The prompt is always the same, so are its logits, and each draw is the first token of an answer with its own seed. The
probabilities are computed here from the logits by what each option is documented to do. Seeds are fixed: a test that
passes once passes always.
"""

import ctypes
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import llama_cpp
import msgspec
import numpy as np
import numpy.typing as npt
import pytest

from runner.llama import library
from runner.llama.sampling import engine_seed, sampler_chain
from statemachines.wire.messages import Sampling
from tests.factory.random_model import random_model
from tests.integration.engine_logits import CONTEXT_TOKENS, Evaluated
from tests.integration.engine_runs import drive, generate, load_of, text_of

pytestmark = pytest.mark.engine

DRAWS = 2000
PROMPT = "the prompt, the prompt"
NEUTRAL = Sampling(temperature=1.0, top_k=0, top_p=1.0, min_p=0.0)
"""Everything off: the model's own distribution."""
OPTIONS: dict[str, dict[str, Any]] = {
    "nothing": {},
    "temperature 0.5": {"temperature": 0.5},
    "temperature 1.7": {"temperature": 1.7},
    "top_k": {"top_k": 12},
    "top_p": {"top_p": 0.85},
    "min_p": {"min_p": 0.15},
    "repeat_penalty": {"repeat_penalty": 1.4},
    "repeat_last_n": {"repeat_penalty": 1.4, "repeat_last_n": 5},
    "repeat_last_n of all": {"repeat_penalty": 1.4, "repeat_last_n": -1},
    "the defaults": msgspec.structs.asdict(Sampling()),
    "all at once": {"temperature": 0.9, "top_k": 30, "top_p": 0.9, "min_p": 0.02, "repeat_penalty": 1.2},
}
Floats = npt.NDArray[np.float64]


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return random_model(tmp_path_factory.mktemp("sampling") / "random.gguf", seed=5)


@pytest.fixture(scope="module")
def evaluated(model: Path) -> Iterator[Evaluated]:
    evaluated = Evaluated(model, PROMPT)
    yield evaluated
    evaluated.close()


def expected(logits: Floats, seen: list[int], wanted: Sampling) -> Floats:
    """Exact probabilities: penalties, top-k, top-p, min-p, temperature, in this order."""
    last = len(seen) if wanted.repeat_last_n < 0 else min(wanted.repeat_last_n, len(seen))
    scores = logits.copy()
    for token in set(seen[len(seen) - last :]):
        scores[token] = (
            scores[token] / wanted.repeat_penalty if scores[token] > 0 else scores[token] * wanted.repeat_penalty
        )
    ranked = np.argsort(-scores, kind="stable")
    if wanted.top_k > 0:
        ranked = ranked[: wanted.top_k]
    if wanted.top_p < 1:
        before = np.cumsum(softmax(scores[ranked])) - softmax(scores[ranked])
        ranked = ranked[before < wanted.top_p]
    if wanted.min_p > 0:
        kept = softmax(scores[ranked])
        ranked = ranked[kept >= wanted.min_p * kept[0]]
    probabilities = np.zeros_like(scores)
    probabilities[ranked] = softmax(scores[ranked] / wanted.temperature)
    return probabilities


def softmax(scores: Floats) -> Floats:
    powers = np.exp(scores - scores.max())
    return np.asarray(powers / powers.sum())


def chi_square(counts: Floats, probabilities: Floats) -> tuple[float, int]:
    """Pearson's statistic and its degrees of freedom; tokens expected fewer than five times are one class."""
    wanted = probabilities * counts.sum()
    rare = wanted < 5
    observed = np.append(counts[~rare], counts[rare].sum())
    wanted = np.append(wanted[~rare], wanted[rare].sum())
    observed, wanted = observed[wanted > 0], wanted[wanted > 0]
    return float(((observed - wanted) ** 2 / wanted).sum()), len(wanted) - 1


@pytest.mark.parametrize("name", OPTIONS)
def test_draws_are_distributed_as_the_option_says(evaluated: Evaluated, name: str) -> None:
    wanted = msgspec.structs.replace(NEUTRAL, **OPTIONS[name])
    probabilities = expected(evaluated.logits().astype(float), evaluated.tokens, wanted)
    assert (probabilities > 0.01).sum() > 5, "the test needs a distribution with some width"
    draws = [evaluated.draw(msgspec.structs.replace(wanted, seed=seed)) for seed in range(DRAWS)]
    counts = np.bincount(draws, minlength=len(probabilities)).astype(np.float64)
    assert counts[probabilities == 0].sum() == 0
    statistic, freedom = chi_square(counts, probabilities)
    assert statistic < freedom + 3.1 * np.sqrt(2 * freedom)  # of all sets of seeds about one in a thousand fails


ALL_TOGETHER = (
    Sampling(temperature=0.9, top_k=30, top_p=0.9, min_p=0.02, repeat_penalty=1.2, repeat_last_n=5, seed=0),
    Sampling(temperature=1.6, top_k=60, top_p=0.97, min_p=0.05, repeat_penalty=1.7, repeat_last_n=-1, seed=0),
)


@pytest.mark.parametrize("wanted", ALL_TOGETHER)
def test_all_options_together_draw_what_a_chain_made_by_hand_draws(evaluated: Evaluated, wanted: Sampling) -> None:
    seeds = range(300)
    by_hand = [drawn_by_hand(evaluated, wanted, seed) for seed in seeds]
    assert [evaluated.draw(msgspec.structs.replace(wanted, seed=seed)) for seed in seeds] == by_hand
    assert len(set(by_hand)) > 5, "the test needs a distribution with some width"


def drawn_by_hand(evaluated: Evaluated, wanted: Sampling, seed: int) -> int:
    """What llama.cpp's own chain chooses from a copy of the logits, without any code of the runner's."""
    logits = evaluated.logits()
    chain = llama_cpp.llama_sampler_chain_init(llama_cpp.llama_sampler_chain_default_params())
    last = CONTEXT_TOKENS if wanted.repeat_last_n < 0 else wanted.repeat_last_n
    for sampler in (
        llama_cpp.llama_sampler_init_penalties(len(logits), last, wanted.repeat_penalty, 0.0, 0.0),
        llama_cpp.llama_sampler_init_top_k(wanted.top_k),
        llama_cpp.llama_sampler_init_top_p(wanted.top_p, 1),
        llama_cpp.llama_sampler_init_min_p(wanted.min_p, 1),
        llama_cpp.llama_sampler_init_temp(wanted.temperature),
        llama_cpp.llama_sampler_init_dist(seed),
    ):
        llama_cpp.llama_sampler_chain_add(chain, sampler)
    for token in evaluated.tokens:
        llama_cpp.llama_sampler_accept(chain, token)
    rows = (llama_cpp.llama_token_data * len(logits))(
        *(llama_cpp.llama_token_data(token, logit, 0.0) for token, logit in enumerate(logits))
    )
    candidates = llama_cpp.llama_token_data_array(data=rows, size=len(rows), selected=-1, sorted=False)
    llama_cpp.llama_sampler_apply(chain, ctypes.byref(candidates))
    llama_cpp.llama_sampler_free(chain)
    return int(candidates.data[candidates.selected].id)


def test_the_test_tells_distributions_apart(evaluated: Evaluated) -> None:
    """A temperature that is wrong by a tenth is noticed."""
    wanted = msgspec.structs.replace(NEUTRAL, temperature=0.9)
    draws = [evaluated.draw(msgspec.structs.replace(wanted, seed=seed)) for seed in range(DRAWS)]
    probabilities = expected(evaluated.logits().astype(float), evaluated.tokens, NEUTRAL)
    statistic, freedom = chi_square(np.bincount(draws, minlength=len(probabilities)).astype(float), probabilities)
    assert statistic > freedom + 3.1 * np.sqrt(2 * freedom)


@pytest.mark.parametrize("temperature", [0.0, -1.0, 1e-46, 1e-44, 1e-38, 1e-31, 1e-29, 1e-20])
def test_no_temperature_is_greedy(evaluated: Evaluated, temperature: float) -> None:
    best = int(np.argmax(evaluated.logits().astype(float)))
    assert evaluated.draw(Sampling(temperature=temperature, seed=-1)) == best


def test_a_greedy_choice_obeys_the_penalty(evaluated: Evaluated) -> None:
    wanted = Sampling(temperature=0, repeat_penalty=1.9, repeat_last_n=-1)
    probabilities = expected(
        evaluated.logits().astype(float),
        evaluated.tokens,
        msgspec.structs.replace(NEUTRAL, repeat_penalty=1.9, repeat_last_n=-1),
    )
    assert evaluated.draw(wanted) == int(np.argmax(probabilities))


def answer(model: Path, seed: int) -> str:
    return text_of(drive(load_of(model), [generate(PROMPT, sampling=Sampling(seed=seed), num_predict=24)]))


def test_one_seed_makes_one_text(model: Path) -> None:
    assert answer(model, 42) == answer(model, 42)
    assert len({answer(model, seed) for seed in range(8)}) == 8


def test_a_drawn_seed_makes_another_text_each_time(model: Path) -> None:
    assert len({answer(model, -1) for _ in range(3)}) > 1


@pytest.mark.parametrize(
    ("seed", "given"), [(0, 0), (42, 42), (1 << 32, 0), (-2, 0xFFFFFFFE), (0xFFFFFFFF, 0xFFFFFFFE)]
)
def test_every_other_seed_is_the_engines_own_and_never_its_wish_for_a_random_one(seed: int, given: int) -> None:
    assert engine_seed(seed) == given


@pytest.mark.parametrize(("asked", "kept"), [(-1, 64), (1 << 30, 64), (5, 5)])
def test_the_engine_never_looks_back_further_than_the_context(
    asked: int, kept: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    given: list[int] = []
    monkeypatch.setattr(library.SamplerChain, "penalties", lambda _chain, _size, last, _repeat: given.append(last))
    wanted = Sampling(repeat_penalty=1.5, repeat_last_n=asked)
    sampler_chain(wanted, vocabulary_tokens=300, context_tokens=64).close()
    assert given == [kept]
