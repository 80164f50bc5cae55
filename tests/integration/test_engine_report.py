"""Canary: the pinned engine still logs what it allocates in the words that the report is parsed from."""

from pathlib import Path

import pytest
from gguf import GGMLQuantizationType, GGUFReader

from statemachines.facts import DeviceBytes
from statemachines.units import MIB
from tests.factory.model_file import Shape
from tests.factory.random_model import random_model
from tests.integration.engine_runs import drive, load_of, ready_of

pytestmark = pytest.mark.engine

ROUNDING_BYTES = MIB // 100
"""The log has two decimals of a MiB."""
SHAPE = Shape(layers=3, embedding_length=256, heads=8, kv_heads=4, head_length=32, feed_forward_length=512)


def host_of(path: Path, **options: object) -> DeviceBytes:
    (host,) = ready_of(drive(load_of(path, context_tokens=1024, **options))).report.devices
    assert host.device == "host"
    return host


def tensor_bytes(path: Path) -> int:
    return sum(int(tensor.n_bytes) for tensor in GGUFReader(path).tensors)


def test_mapped_weights_are_those_of_the_file(tmp_path: Path) -> None:
    path = random_model(tmp_path / "f32.gguf", shape=SHAPE)
    host = host_of(path)
    assert host.mapped_bytes == pytest.approx(tensor_bytes(path), abs=ROUNDING_BYTES)
    assert host.weight_bytes == 0


def test_repacked_weights_are_counted_besides_the_mapped_file(tmp_path: Path) -> None:
    path = random_model(tmp_path / "q4.gguf", shape=SHAPE, weights=GGMLQuantizationType.Q4_0)
    host = host_of(path)
    assert 0 < host.weight_bytes < host.mapped_bytes + ROUNDING_BYTES <= tensor_bytes(path) + 2 * ROUNDING_BYTES


@pytest.mark.parametrize(("cache_type", "element_bytes"), [("f16", 2), ("f32", 4)])
def test_the_cache_is_what_its_layout_says(tmp_path: Path, cache_type: str, element_bytes: int) -> None:
    path = random_model(tmp_path / "f32.gguf", shape=SHAPE)
    per_token = 2 * SHAPE.layers * SHAPE.kv_heads * SHAPE.head_length * element_bytes
    assert host_of(path, cache_type=cache_type).kv_bytes == pytest.approx(1024 * per_token, abs=ROUNDING_BYTES)


def test_compute_and_output_buffers_are_seen(tmp_path: Path) -> None:
    host = host_of(random_model(tmp_path / "f32.gguf", shape=SHAPE))
    assert host.compute_bytes > MIB // 4
    assert host.own_bytes == host.weight_bytes + host.kv_bytes + host.compute_bytes + host.output_bytes
