"""What we expect of memory against what the engine really takes: never less, and not much more."""

import ctypes
from pathlib import Path

import llama_cpp
import pytest
from gguf import GGMLQuantizationType, TokenType

from runner.facts.ggml_types import GGML_TYPES, REMOVED_TYPES
from runner.facts.reader import read_facts
from statemachines.facts import DeviceBytes, LoadOptions
from statemachines.memory import HostNeed, host_need
from statemachines.units import MIB
from tests.factory.model_file import Shape
from tests.factory.random_model import random_model
from tests.factory.vocabulary import spm
from tests.integration.engine_runs import drive, load_of, ready_of

pytestmark = pytest.mark.engine

ROUNDING_BYTES = MIB // 100
"""The engine's log has two decimals of a MiB."""
COMPUTE_SLACK, COMPUTE_SLACK_BYTES = 1.6, 3 * MIB
"""How much more than it takes the compute buffers may be expected to take."""

SMALL = Shape()
WIDE = Shape(layers=2, embedding_length=512, heads=4, kv_heads=4, head_length=32, feed_forward_length=64)
# Two layers at least: in the last one the engine computes only the tokens whose logits are wanted.
MANY_HEADS = Shape(layers=2, embedding_length=64, heads=32, kv_heads=2, head_length=16, feed_forward_length=96)
LONG_FEED_FORWARD = Shape(layers=2, embedding_length=64, heads=2, kv_heads=2, head_length=32, feed_forward_length=8192)


def expected_and_real(path: Path, options: LoadOptions) -> tuple[HostNeed, DeviceBytes]:
    load = load_of(path, context_tokens=options.context_tokens, cache_type=options.cache_type)
    (host,) = ready_of(drive(load)).report.devices
    return host_need(read_facts([str(path)]).sizes, options), host


@pytest.mark.parametrize("weights", [GGMLQuantizationType.F32, GGMLQuantizationType.Q4_0, GGMLQuantizationType.Q8_0])
def test_weights_are_mapped_and_repacked_as_expected(weights: GGMLQuantizationType, tmp_path: Path) -> None:
    path = random_model(tmp_path / "model.gguf", shape=WIDE, weights=weights)
    need, real = expected_and_real(path, LoadOptions(512))
    assert need.mapped_bytes >= real.mapped_bytes - ROUNDING_BYTES
    assert need.repack_bytes == pytest.approx(real.weight_bytes, abs=ROUNDING_BYTES)


@pytest.mark.parametrize("context_tokens", [5, 300, 4096])
@pytest.mark.parametrize("cache_type", ["f16", "f32"])
def test_the_cache_is_exactly_what_is_expected(context_tokens: int, cache_type: str, tmp_path: Path) -> None:
    need, real = expected_and_real(
        random_model(tmp_path / "model.gguf"), LoadOptions(context_tokens, cache_type=cache_type)
    )
    assert need.kv_bytes == pytest.approx(real.kv_bytes, abs=ROUNDING_BYTES)


@pytest.mark.parametrize("context_tokens", [256, 8192])
@pytest.mark.parametrize(
    "shape", [SMALL, WIDE, MANY_HEADS, LONG_FEED_FORWARD], ids=["small", "wide", "heads", "feed forward"]
)
def test_buffers_are_not_larger_than_expected(shape: Shape, context_tokens: int, tmp_path: Path) -> None:
    path = random_model(tmp_path / "model.gguf", shape=shape)
    need, real = expected_and_real(path, LoadOptions(context_tokens))
    assert need.compute_bytes >= real.compute_bytes
    assert need.compute_bytes <= COMPUTE_SLACK * real.compute_bytes + COMPUTE_SLACK_BYTES
    assert need.output_bytes >= real.output_bytes - ROUNDING_BYTES


def test_a_large_vocabulary_costs_only_its_logits(tmp_path: Path) -> None:
    words = ((b"word%d" % number, TokenType.NORMAL) for number in range(20_000))
    path = random_model(tmp_path / "model.gguf", vocabulary=spm(extra=words))
    need, real = expected_and_real(path, LoadOptions(256))
    assert real.compute_bytes <= need.compute_bytes <= COMPUTE_SLACK * real.compute_bytes + COMPUTE_SLACK_BYTES
    assert need.output_bytes >= real.output_bytes - ROUNDING_BYTES


def test_the_table_of_tensor_types_is_the_engines() -> None:
    (library,) = (Path(llama_cpp.__file__).parent / "lib").glob("libggml-base.so.0")
    engine = ctypes.CDLL(str(library))
    engine.ggml_type_name.restype = ctypes.c_char_p
    engine.ggml_blck_size.restype = ctypes.c_int64
    engine.ggml_type_size.restype = ctypes.c_size_t
    count = max(GGML_TYPES) + 1
    theirs = {
        number: (
            engine.ggml_type_name(number).decode().upper(),
            engine.ggml_blck_size(number),
            engine.ggml_type_size(number),
        )
        for number in range(count)
        if number not in REMOVED_TYPES
    }
    assert theirs == {n: (t.name.upper(), t.block_elements, t.block_bytes) for n, t in GGML_TYPES.items()}
    assert all(engine.ggml_blck_size(number) == 0 for number in REMOVED_TYPES)
