"""Real llama.cpp on the factory's models, by llama-cpp-python's high-level `Llama`."""

import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import closing
from importlib.resources import files
from pathlib import Path
from typing import Any

import pytest
from gguf import GGMLQuantizationType

from tests.factory.broken import crash_model
from tests.factory.demo import ANSWER
from tests.factory.random_model import random_model
from tests.factory.raw import valid
from tests.factory.scripted import Answer, say, scripted_model
from tests.factory.vocabulary import bpe, spm

pytestmark = pytest.mark.engine
Open = Callable[[Path], Any]
CHARACTERS = "é€🎉"
"""Of two, three and four bytes."""


@pytest.fixture
def load() -> Iterator[Open]:
    """Loads models with one thread and closes them after the test."""
    llama_cpp = pytest.importorskip("llama_cpp")
    opened: list[Any] = []

    def load_one(path: Path) -> Any:
        opened.append(llama_cpp.Llama(str(path), n_ctx=512, n_threads=1, n_threads_batch=1, verbose=False))
        return opened[-1]

    yield load_one
    for model in opened:
        with closing(model):
            pass


def chat(model: Any, question: str, **options: Any) -> Any:
    """The whole answer to one question: text and finish reason."""
    reply = model.create_chat_completion([{"role": "user", "content": question}], **options)["choices"][0]
    return reply["message"]["content"], reply["finish_reason"]


def pieces(model: Any, prompt: str, count: int) -> list[bytes]:
    """The bytes of the first tokens after a raw prompt, one by one."""
    tokens = model.generate(model.tokenize(prompt.encode(), special=True), temp=0)
    return [model.detokenize([token], special=False) for token, _ in zip(tokens, range(count), strict=False)]


def splits(character: str) -> list[tuple[bytes, ...]]:
    """Every way of cutting a character's bytes into tokens."""
    data = character.encode()
    if len(data) == 1:
        return [(data,)]
    cuts = range(1, 1 << (len(data) - 1))
    return [_cut(data, mask) for mask in cuts]


def _cut(data: bytes, mask: int) -> tuple[bytes, ...]:
    ends = [i + 1 for i in range(len(data) - 1) if mask >> i & 1] + [len(data)]
    return tuple(data[start:end] for start, end in zip([0, *ends], ends, strict=False))


def test_scripted_model_says_exactly_the_text(tmp_path: Path, load: Open) -> None:
    text = "Hello, the world: the end of the world 🎉 naïve € the\n\tend."
    assert chat(load(scripted_model(tmp_path / "m.gguf", text)), "anything", max_tokens=400) == (text, "stop")


@pytest.mark.parametrize("temperature", [0.0, 0.8, 2.0])
def test_scripted_text_does_not_depend_on_sampling(temperature: float, tmp_path: Path, load: Open) -> None:
    model = load(scripted_model(tmp_path / "m.gguf", "One two three four."))
    answers = {chat(model, "?", temperature=temperature, seed=seed, top_k=0, top_p=1.0) for seed in range(5)}
    assert answers == {("One two three four.", "stop")}


def test_question_chooses_the_answer(tmp_path: Path, load: Open) -> None:
    model = load(scripted_model(tmp_path / "m.gguf", {"": "I do not know.", "rain": "It is wet.", "snow": "Cold."}))
    questions = ("Is it rain?", "snow or what", "And you?", "")
    assert [chat(model, question)[0] for question in questions] == [
        "It is wet.",
        "Cold.",
        "I do not know.",
        "I do not know.",
    ]


def test_pieces_are_one_token_each_even_when_they_are_no_characters(tmp_path: Path, load: Open) -> None:
    exact = (b"\xe2", b"\x82\xac", b" the", b" the", b"STO", b"P", b"\xf0\x9f", b"\x8e\x89", b"P")
    model = load(scripted_model(tmp_path / "m.gguf", Answer(exact)))
    assert pieces(model, "x<|answer-0|>", len(exact)) == list(exact)


@pytest.mark.parametrize("character", CHARACTERS)
def test_character_can_be_split_at_every_byte(character: str, tmp_path: Path, load: Open) -> None:
    ways = splits(character)
    assert len(ways) == 2 ** (len(character.encode()) - 1) - 1
    for i, way in enumerate(ways):
        model = load(scripted_model(tmp_path / f"{i}.gguf", Answer((b"a", *way, b"z"))))
        assert pieces(model, "<|answer-0|>", len(way) + 2) == [b"a", *way, b"z"]
        assert chat(model, "?") == (f"a{character}z", "stop")


def test_endless_answer_goes_round(tmp_path: Path, load: Open) -> None:
    model = load(scripted_model(tmp_path / "m.gguf", say("tick tock ", endless=True)))
    text, reason = chat(model, "go", max_tokens=90)
    assert reason == "length"
    assert text == ("tick tock " * 90)[: len(text)]
    assert len(text) > 50


@pytest.mark.parametrize("weights", ["F32", "F16", "Q4_0", "Q8_0"])
@pytest.mark.parametrize("vocabulary", [spm(), bpe()], ids=["spm", "bpe"])
def test_random_model_gives_the_same_legible_tokens_again(
    weights: str, vocabulary: Any, tmp_path: Path, load: Open
) -> None:
    path = random_model(tmp_path / "m.gguf", seed=5, weights=GGMLQuantizationType[weights], vocabulary=vocabulary)
    first, second = (load(path)("Hello there", max_tokens=40, temperature=0)["choices"][0] for _ in range(2))
    assert first == second
    assert first["finish_reason"] == "length"
    assert first["text"].isascii()
    assert len(set(first["text"])) > 5


def test_random_model_attends_to_the_whole_prompt(tmp_path: Path, load: Open) -> None:
    model = load(random_model(tmp_path / "m.gguf", seed=5))
    answers = {model(f"{word} there", max_tokens=8, temperature=0)["choices"][0]["text"] for word in ("a", "b", "c")}
    assert len(answers) == 3


@pytest.mark.parametrize("vocabulary", [spm(), bpe()], ids=["spm", "bpe"])
def test_every_text_can_be_tokenised(vocabulary: Any, tmp_path: Path, load: Open) -> None:
    model = load(random_model(tmp_path / "m.gguf", vocabulary=vocabulary))
    text = "Grüße, babe dodo € 🎉\n\x00\x7f end".encode()
    assert model.detokenize(model.tokenize(text)).lstrip() == text


def test_split_model_loads_from_its_first_part(tmp_path: Path, load: Open) -> None:
    whole = load(random_model(tmp_path / "whole.gguf", seed=2))
    split = load(random_model(tmp_path / "m.gguf", seed=2, tensors_per_part=8))
    options = {"max_tokens": 10, "temperature": 0}
    assert split("Hello", **options)["choices"][0] == whole("Hello", **options)["choices"][0]


def test_raw_file_loads(tmp_path: Path, load: Open) -> None:
    path = tmp_path / "m.gguf"
    path.write_bytes(valid().encode())
    assert load(path).n_vocab() == 4


def test_crash_model_loads_and_aborts_at_the_first_decode(tmp_path: Path) -> None:
    path = crash_model(tmp_path / "m.gguf")
    source = "import llama_cpp, sys\nm = llama_cpp.Llama(sys.argv[1], n_ctx=64, n_threads=1, verbose=False)\n"
    run = "print('loaded', flush=True)\nm('a')\nprint('answered')\n"
    environment = {**os.environ, "GGML_NO_BACKTRACE": "1", "OMP_WAIT_POLICY": "passive"}
    result = subprocess.run(
        [sys.executable, "-c", source + run, str(path)], env=environment, capture_output=True, text=True, check=False
    )
    assert result.stdout == "loaded\n"
    assert result.returncode == -signal.SIGABRT


def test_demo_gives_its_two_sentences_whatever_is_asked(load: Open) -> None:
    model = load(Path(str(files("service.demo").joinpath("demo.gguf"))))
    answers = [chat(model, question, max_tokens=200) for question in ("How do I keep a model loaded?", "?", "")]
    assert answers == [(ANSWER, "stop")] * 3
