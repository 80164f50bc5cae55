"""The model that speed is measured on, and its prompts: 92 million weights in 50 MB, always the same."""

import os
import random
import tempfile
from collections.abc import Callable
from itertools import product
from pathlib import Path

from gguf import GGMLQuantizationType

from tests.factory.model_file import Shape
from tests.factory.random_model import random_model
from tests.factory.vocabulary import spm

FOLDER = Path(tempfile.gettempdir()) / "roundhouse-benchmarks-1"
"""Where models are kept between runs; another recipe gets another number."""
SHAPE = Shape(layers=6, embedding_length=768, heads=12, kv_heads=12, head_length=64, feed_forward_length=2048)
VOCABULARY_TOKENS = 32_000
SYLLABLES = ["".join(pair) for pair in product("bcdfghjklmnprstvwz", "aeiou")]
"""Each is one token of the vocabulary behind a space."""

Write = Callable[[Path, int], object]
"""Writes a model to a path; another seed makes other weights."""


def write_large(path: Path, seed: int) -> Path:
    """A llama of a common small shape: half of its weights are its vocabulary."""
    vocabulary = spm(size=VOCABULARY_TOKENS)
    return random_model(path, seed=seed, shape=SHAPE, weights=GGMLQuantizationType.Q4_0, vocabulary=vocabulary)


def made(path: Path, seed: int, write: Write) -> Path:
    """The model at ``path``, written when it is not there yet. A run that is killed leaves no half of it."""
    if not path.exists():
        path.parent.mkdir(parents=True, exist_ok=True)
        unfinished = path.with_suffix(f".{os.getpid()}")
        write(unfinished, seed)
        unfinished.rename(path)
    return path


def prompt(number: int, tokens: int) -> str:
    """A text of so many tokens, the begin token counted. No two begin alike, so that no cache can help."""
    rng = random.Random(number)
    return " ".join(rng.choices(SYLLABLES, k=tokens - 1))
