"""Greedy text equals that of llama-cpp-python's own high-level class, and depends on nothing but the prompt."""

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from gguf import GGMLQuantizationType

from statemachines.units import LeaseId
from statemachines.wire.messages import SetThreads
from tests.factory.random_model import random_model
from tests.factory.vocabulary import bpe
from tests.integration.engine_logits import Evaluated, Floats
from tests.integration.engine_runs import chat, drive, end_of, generate, load_of, ready_of, text_of

pytestmark = pytest.mark.engine

CONTEXT_TOKENS = 512
MADE_TOKENS = 24
F32_TOLERANCE = 2e-6
"""Largest difference of a logit of a weight type that is not promised bit for bit."""
PROMPTS = (
    "a",
    "Hello there, engine.",
    "na go le su te " * 20,
    "unknown: \u00e9\u20ac\U0001f682 " * 15,
    " leading and trailing  ",
)
TURNS = ("Hi.", "Tell me about " + "trains and roundhouses, " * 12)
KINDS = {
    "F32": {"weights": GGMLQuantizationType.F32, "seed": 1},
    "Q4_0": {"weights": GGMLQuantizationType.Q4_0, "seed": 2},
    "Q8_0": {"weights": GGMLQuantizationType.Q8_0, "seed": 3},
    "F16 bpe": {"weights": GGMLQuantizationType.F16, "seed": 4, "vocabulary": bpe()},
}


@pytest.fixture(scope="module", params=KINDS)
def model(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("identity") / "random.gguf"
    return random_model(path, **KINDS[request.param])


@pytest.fixture(scope="module")
def reference(model: Path) -> Iterator[object]:
    import llama_cpp

    llama = llama_cpp.Llama(str(model), n_ctx=CONTEXT_TOKENS, n_threads=1, n_threads_batch=1, verbose=False)
    yield llama
    llama.close()


def completion(llama: object, prompt: str) -> str:
    complete = llama.create_completion  # type: ignore[attr-defined]  # its module is imported by the fixture alone
    answer = complete(prompt, max_tokens=MADE_TOKENS, temperature=0)
    return str(answer["choices"][0]["text"])


def chat_completion(llama: object, turn: str) -> str:
    complete = llama.create_chat_completion  # type: ignore[attr-defined]  # the same
    answer = complete([{"role": "user", "content": turn}], max_tokens=MADE_TOKENS, temperature=0, repeat_penalty=1)
    return str(answer["choices"][0]["message"]["content"])


def test_raw_and_chat_text_equal_the_reference(model: Path, reference: object) -> None:
    raw = [generate(text, lease=LeaseId(i), num_predict=MADE_TOKENS) for i, text in enumerate(PROMPTS)]
    turns = [chat(text, lease=LeaseId(100 + i), num_predict=MADE_TOKENS) for i, text in enumerate(TURNS)]
    sent = drive(load_of(model, context_tokens=CONTEXT_TOKENS), [*raw, *turns])
    assert ready_of(sent).chunk_tokens * 3 < len(PROMPTS[2])
    for i, prompt in enumerate(PROMPTS):
        assert text_of(sent, LeaseId(i)) == completion(reference, prompt)
    for i, turn in enumerate(TURNS):
        assert text_of(sent, LeaseId(100 + i)) == chat_completion(reference, turn)


def test_text_does_not_depend_on_threads_or_on_what_came_before(model: Path) -> None:
    alone = [text_of(drive(load_of(model), [generate(prompt, num_predict=MADE_TOKENS)])) for prompt in PROMPTS]
    requests = [generate(text, lease=LeaseId(i), num_predict=MADE_TOKENS) for i, text in enumerate(PROMPTS)]
    sent = drive(load_of(model), [requests[2], SetThreads(2), *requests[:2], SetThreads(1), *requests[3:]])
    assert [text_of(sent, LeaseId(i)) for i in range(len(PROMPTS))] == alone


def test_an_answer_continues_from_its_context(model: Path) -> None:
    """Prompt and answer put before an empty prompt continue as one longer answer would have."""
    whole = drive(load_of(model), [generate(PROMPTS[1], num_predict=10, with_context=True)])
    first = drive(load_of(model), [generate(PROMPTS[1], num_predict=4, with_context=True)])
    context = end_of(first).context
    assert len(context) == len(end_of(whole).context) - 6
    rest = drive(load_of(model), [generate("", context=context, num_predict=6)])
    assert text_of(first) + text_of(rest) == text_of(whole)


def logits(path: Path, *, chunk_tokens: int, threads: int) -> Floats:
    evaluated = Evaluated(path, PROMPTS[2], chunk_tokens=chunk_tokens, threads=threads)
    try:
        return evaluated.logits()
    finally:
        evaluated.close()


@pytest.mark.parametrize(("chunk_tokens", "threads"), [(64, 2), (32, 1), (8, 2), (512, 1)])
@pytest.mark.parametrize(
    ("weights", "tolerance"), [(GGMLQuantizationType.Q4_0, 0), (GGMLQuantizationType.F32, F32_TOLERANCE)]
)
def test_logits_do_not_depend_on_threads_or_chunks(
    tmp_path: Path, weights: GGMLQuantizationType, tolerance: float, chunk_tokens: int, threads: int
) -> None:
    path = random_model(tmp_path / "model.gguf", weights=weights, seed=7)
    expected = logits(path, chunk_tokens=64, threads=1)
    found = logits(path, chunk_tokens=chunk_tokens, threads=threads)
    assert np.abs(found - expected).max() <= tolerance
    assert np.abs(expected).max() > 1
