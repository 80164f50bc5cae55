"""The reader's verdict on types of tensors is the engine's: what it passes decodes, what it refuses would crash."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from runner.facts.ggml_types import GGML_TYPES, NOT_COMPUTED
from tests.factory.typed import typed_model

pytestmark = pytest.mark.engine

PROGRAM = """
import sys
from llama_cpp import Llama
for path in sys.argv[1:]:
    model = Llama(path, n_ctx=64, n_threads=1, verbose=False)
    print("loaded", flush=True)
    model("a", max_tokens=2)
    print("answered", flush=True)
    model.close()
"""
ENVIRONMENT = {"GGML_NO_BACKTRACE": "1", "OMP_WAIT_POLICY": "passive"}


def decode(*paths: Path) -> tuple[list[str], int]:
    """What a process that decodes with each of these files gets done, and its exit status."""
    command = [sys.executable, "-c", PROGRAM, *map(str, paths)]
    result = subprocess.run(command, env={**os.environ, **ENVIRONMENT}, capture_output=True, text=True, check=False)
    return result.stdout.split(), result.returncode


def test_the_engine_computes_with_every_type_that_the_reader_passes(tmp_path: Path) -> None:
    passed = [number for number, kind in GGML_TYPES.items() if kind.name not in NOT_COMPUTED]
    paths = [typed_model(tmp_path / f"{number}.gguf", embeddings=number, matrices=number) for number in passed]
    assert decode(*paths) == (["loaded", "answered"] * len(paths), 0)


@pytest.mark.parametrize("name", sorted(NOT_COMPUTED))
def test_the_engine_dies_of_every_type_that_the_reader_refuses(name: str, tmp_path: Path) -> None:
    (number,) = [number for number, kind in GGML_TYPES.items() if kind.name == name]
    done, status = decode(typed_model(tmp_path / "m.gguf", matrices=number))
    assert done == ["loaded"], "it loads, so that nothing warns before the first decode"
    assert status < 0, "ended by a signal"
