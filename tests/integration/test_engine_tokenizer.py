"""Long prompts on the real engine: the same tokens in pieces as in one call, never too high a bound, and no crash."""

import random
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import astuple
from pathlib import Path

import pytest
from gguf import GGUFWriter, TokenType

from runner.llama import library, tokenizer
from runner.llama.tokenizer import PromptTokenizer, run_chars_max
from statemachines.errors import RequestRefused
from statemachines.wire.messages import (
    Beat,
    Cancel,
    EndReason,
    LeaseEnded,
    Ready,
    Shutdown,
    TextPrompt,
    ToRunner,
    ToService,
)
from tests.factory.random_model import random_model
from tests.factory.scripted import BASE_SIZE, say, scripted_model
from tests.factory.vocabulary import BOS, Vocabulary, bpe, spm
from tests.integration.engine_process import runner_process
from tests.integration.engine_runs import LEASE, ask, drive, end_of, generate, load_of

pytestmark = pytest.mark.engine

FOREIGN = "日本語é\U0001f600"
BITS = [*FOREIGN, *"ab .\n\t\u2581", "ba", "  ", " ka", "</s>", "<s>", "</s> ", "</s>日", "\n\n", "<0x41>"]


@pytest.fixture
def small_pieces(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tokenizer, "PIECE_CHARS", 3)


def vocabulary_of(path: Path, vocabulary: Vocabulary, name: str) -> Iterator[library.Vocabulary]:
    library.start(lambda _level, _text: None)
    file = random_model(path, vocabulary=vocabulary, name=name)
    model = library.Model.load([str(file)], gpu_layers=0, main_gpu=None, on_progress=lambda _done: True)
    assert model is not None
    yield model.vocabulary
    model.close()


@pytest.fixture(params=["plain", "phi-3"])
def sentencepiece(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[library.Vocabulary]:
    """The engine makes the special tokens of a model of this name swallow the spaces behind them."""
    vocabulary = spm(extra=[(b"<|endoftext|>", TokenType.CONTROL)])
    yield from vocabulary_of(tmp_path / "model.gguf", vocabulary, request.param)


@pytest.fixture
def bytepair(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[library.Vocabulary]:
    """Of a kind whose engine recurses on unbroken runs."""
    add = GGUFWriter.add_tokenizer_pre
    monkeypatch.setattr(GGUFWriter, "add_tokenizer_pre", lambda writer, _pre: add(writer, "gpt-4o"))
    yield from vocabulary_of(tmp_path / "model.gguf", bpe(), "plain")


@pytest.mark.usefixtures("small_pieces")
def test_pieces_give_the_same_tokens_as_one_call(sentencepiece: library.Vocabulary) -> None:
    draw, calls = random.Random(0), 0

    def count() -> None:
        nonlocal calls
        calls += 1

    cut = PromptTokenizer(sentencepiece, count)
    for _ in range(2_000):
        text = "".join(draw.choices(BITS, k=draw.randrange(1, 30)))
        for add_special in (True, False):
            whole = sentencepiece.tokenize(text, add_special=add_special)
            assert cut.tokenize(text, add_special=add_special) == whole, repr(text)
    assert calls > 10_000  # They really were cut.


@pytest.mark.usefixtures("small_pieces")
def test_no_text_has_fewer_tokens_than_the_bound(
    sentencepiece: library.Vocabulary, bytepair: library.Vocabulary
) -> None:
    draw = random.Random(1)
    for vocabulary in (sentencepiece, bytepair):
        bounded = PromptTokenizer(vocabulary, lambda: None)
        for _ in range(500):
            text = "".join(draw.choices(BITS, k=draw.randrange(5, 60)))
            assert bounded.least_tokens(text) <= len(vocabulary.tokenize(text, add_special=False)), repr(text)
        assert bounded.least_tokens("日" * 5_000) > 500


@pytest.mark.usefixtures("small_pieces")
def test_spaces_that_a_token_swallows_do_not_count(sentencepiece: library.Vocabulary) -> None:
    text = "a</s>" + " " * 5_000
    assert PromptTokenizer(sentencepiece, lambda: None).least_tokens(text) <= len(
        sentencepiece.tokenize(text, add_special=False)
    )


@pytest.mark.parametrize(("text", "reason"), [("hello", EndReason.LENGTH), ("h\u00e9", EndReason.REFUSED)])
def test_a_character_that_a_vocabulary_cannot_spell_is_refused(text: str, reason: EndReason, tmp_path: Path) -> None:
    rows = [row for row in zip(*astuple(spm())[1:4], strict=True) if row[1] is not TokenType.BYTE]
    texts, types, scores = zip(*rows, strict=True)
    path = random_model(tmp_path / "model.gguf", vocabulary=Vocabulary("llama", texts, types, scores))
    with runner_process() as process:  # The engine would end it.
        process.send(load_of(path))
        process.until(Ready)
        process.send(generate(text, num_predict=1))
        (end,) = process.until(LeaseEnded)[-1:]
    assert isinstance(end, LeaseEnded)
    assert end.reason is reason


LONGEST_RUNS = """
import sys
from runner.hardening import harden
from runner.llama import library
from runner.llama.tokenizer import PromptTokenizer, run_chars_max
harden()
library.start(lambda _level, _text: None)
model = library.Model.load([sys.argv[1]], gpu_layers=0, main_gpu=None, on_progress=lambda _done: True)
tokenizer = PromptTokenizer(model.vocabulary, lambda: None)
for letter in ("A", "x", "1", " ", ".", chr(10), chr(0xE9)):
    assert len(tokenizer.tokenize(letter * run_chars_max(), add_special=False)) > 1_000
"""


@pytest.mark.usefixtures("bytepair")
def test_the_longest_run_that_is_not_refused_does_not_overflow_a_runner_s_stack(tmp_path: Path) -> None:
    command = [sys.executable, "-c", LONGEST_RUNS, str(tmp_path / "model.gguf")]
    assert subprocess.run(command, check=False, timeout=120).returncode == 0


def test_a_longer_run_is_refused(bytepair: library.Vocabulary) -> None:
    with pytest.raises(RequestRefused, match="in a row without a space"):
        PromptTokenizer(bytepair, lambda: None).tokenize("A" * (run_chars_max() + 1), add_special=False)


@pytest.fixture
def script(tmp_path: Path) -> Path:
    return scripted_model(tmp_path / "script.gguf", say("Done."), context_tokens=1 << 20)


FOREIGN_TEXT = "\u65e5" * 100_000


def hear(script: Path, message: ToRunner) -> list[ToService]:
    """What is sent for a long prompt when `message` comes after the first part of the work on it."""
    begun = 0

    def interrupt(sent: list[ToService]) -> ToRunner | None:
        nonlocal begun
        begun += any(isinstance(word, Ready) for word in sent)
        return message if begun == 3 else None

    prompt = TextPrompt(FOREIGN_TEXT, truncate=False)
    return drive(load_of(script, context_tokens=400_000), [ask(prompt, num_predict=0)], interrupt)


def test_a_cancel_is_obeyed_while_a_long_prompt_is_tokenised(script: Path) -> None:
    sent = hear(script, Cancel(LEASE))
    assert (end_of(sent).reason, end_of(sent).usage.prompt_tokens) == (EndReason.CANCELLED, 0)
    assert any(isinstance(message, Beat) for message in sent)


def test_a_stop_is_obeyed_while_a_long_prompt_is_tokenised(script: Path) -> None:
    assert end_of(hear(script, Shutdown())).reason is EndReason.CANCELLED


@pytest.mark.parametrize("truncate", [True, False])
def test_a_prompt_that_cannot_fit_is_cut_or_refused_before_it_is_tokenised(
    truncate: bool, script: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    given: list[int] = []
    tokenize = library.Vocabulary.tokenize

    def note(vocabulary: library.Vocabulary, text: str, *, add_special: bool) -> list[int]:
        given.append(len(text))
        return tokenize(vocabulary, text, add_special=add_special)

    monkeypatch.setattr(library.Vocabulary, "tokenize", note)
    prompt = TextPrompt("begin " + FOREIGN_TEXT + " end", truncate)
    sent = drive(load_of(script, context_tokens=64), [ask(prompt, with_context=True)])
    assert sum(given) < 30_000
    if truncate:
        head, *_, tail = end_of(sent).context[: end_of(sent).usage.prompt_tokens]
        assert (head, tail) == (BOS, spm(size=BASE_SIZE).texts.index(b"d"))
    else:
        assert "(prompt: at least " in str(end_of(sent).refusal)
