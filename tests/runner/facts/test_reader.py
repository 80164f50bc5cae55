"""A whole model: what the reader says of it, and that another reader of the same file agrees."""

from pathlib import Path

import gguf
import numpy as np
import pytest

from runner.facts import repack
from runner.facts.ggml_types import GGML_TYPES
from runner.facts.reader import read_facts
from statemachines.facts import TensorFacts
from tests.factory.random_model import random_model
from tests.factory.raw import number, text, valid
from tests.runner.facts.files import read, refused, unpacked

QUANTISED = [gguf.GGMLQuantizationType.Q4_0, gguf.GGMLQuantizationType.Q8_0, gguf.GGMLQuantizationType.F16]


@pytest.mark.parametrize("weights", [gguf.GGMLQuantizationType.F32, *QUANTISED])
def test_another_reader_of_the_same_file_agrees(weights: gguf.GGMLQuantizationType, tmp_path: Path) -> None:
    path = random_model(tmp_path / "model.gguf", weights=weights)
    theirs = gguf.GGUFReader(path)
    ours = unpacked(read_facts([str(path)], with_arrays=True))
    assert [(t.name, t.type, list(t.shape)) for t in ours.tensors] == [
        (t.name, t.tensor_type.name, [int(length) for length in t.shape]) for t in theirs.tensors
    ]
    assert ours.parameter_count == sum(int(t.n_elements) for t in theirs.tensors)
    sizes = ours.sizes
    ours_bytes = sizes.shared_weight_bytes + sum(layer.weight_bytes for layer in sizes.layers)
    assert ours_bytes == sum(int(t.n_bytes) for t in theirs.tensors)
    fields = {key: field for key, field in theirs.fields.items() if not key.startswith("GGUF.")}
    assert list(ours.metadata) == list(fields)
    for key, field in fields.items():
        np.testing.assert_equal(ours.metadata[key], field.contents(), err_msg=key)


def test_every_tensor_type_has_the_size_that_gguf_gives_it() -> None:
    theirs = {kind.value: (kind.name, *sizes) for kind, sizes in gguf.GGML_QUANT_SIZES.items()}
    ours = {number: (t.name, t.block_elements, t.block_bytes) for number, t in GGML_TYPES.items()}
    assert ours.pop(9) == ("Q8_1", 32, 36), "a type of activations, never in files; gguf reckons with an older layout"
    del theirs[9]
    assert ours.pop(42) == ("Q2_0", 64, 18), "newer than the package"
    assert ours == theirs


def test_a_small_model_in_all_its_figures(tmp_path: Path) -> None:
    facts = read(tmp_path, valid())
    assert (facts.format, facts.architecture, facts.name, facts.quantization) == ("gguf", "llama", "raw", "F32")
    assert facts.parameter_count == 2 * 4 * 32 + 7 * 32 * 32 + 3 * 32
    assert facts.capabilities == ("completion",)
    assert facts.chat_template == "{{ messages[-1]['content'] }}"
    assert facts.parts == 1
    assert facts.tensors[0] == TensorFacts("token_embd.weight", "F32", (32, 4))
    sizes = facts.sizes
    assert sizes.file_bytes == len(valid().encode())
    assert sizes.shared_weight_bytes == 4 * (2 * 4 * 32 + 32)
    assert [layer.weight_bytes for layer in sizes.layers] == [4 * (7 * 32 * 32 + 2 * 32)]
    assert [layer.kv_elements_per_token for layer in sizes.layers] == [2 * 32]
    assert (sizes.context_tokens_max, sizes.embedding_length, sizes.feed_forward_length) == (128, 32, 32)
    assert (sizes.head_count, sizes.vocab_size, sizes.attention_length) == (2, 4, 0)


@pytest.mark.parametrize(("file_type", "label"), [(2, "Q4_0"), (15, "Q4_K_M"), (38, "MXFP4"), (999, "unknown")])
def test_the_file_type_is_shown_as_people_write_it(file_type: int, label: str, tmp_path: Path) -> None:
    assert read(tmp_path, valid().having(number("general.file_type", file_type))).quantization == label


def test_a_model_without_file_type_name_or_template_says_so(tmp_path: Path) -> None:
    bare = valid().without(b"general.file_type").without(b"general.name").without(b"tokenizer.chat_template")
    facts = read(tmp_path, bare)
    assert (facts.quantization, facts.name, facts.chat_template) == ("unknown", "", None)


def test_files_that_belong_beside_a_model_are_named(tmp_path: Path) -> None:
    with refused("projector"):
        read(tmp_path, valid().having(text("general.architecture", "clip")))
    with refused("adapter"):
        read(tmp_path, valid().having(text("general.type", "adapter")))


def test_rearranged_copies_are_counted_where_a_processor_makes_them(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = random_model(tmp_path / "model.gguf", weights=gguf.GGMLQuantizationType.Q4_0)
    monkeypatch.setattr(repack, "repacked_types", lambda: frozenset({"Q4_0"}))
    sizes = read_facts([str(path)]).sizes
    by_name = {str(t.name): t for t in gguf.GGUFReader(path).tensors}
    is_repacked = {n: t.tensor_type.name == "Q4_0" and n != "token_embd.weight" for n, t in by_name.items()}
    assert "output.weight" in by_name
    assert sizes.shared_repack_bytes == sum(
        int(by_name[n].n_bytes) for n in is_repacked if is_repacked[n] and "blk" not in n
    )
    in_layers = sum(int(by_name[n].n_bytes) for n in is_repacked if is_repacked[n] and "blk" in n)
    assert sum(layer.repack_bytes for layer in sizes.layers) == in_layers > 0
    monkeypatch.setattr(repack, "repacked_types", frozenset)
    assert sum(layer.repack_bytes for layer in read_facts([str(path)]).sizes.layers) == 0
