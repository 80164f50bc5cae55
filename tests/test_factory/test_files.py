"""The files themselves, read back with the gguf package: no engine needed."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from gguf import GGMLQuantizationType, GGUFReader

from tests.factory.broken import GIANT, crash_model, f64_model, giant_model, header_bytes, truncated
from tests.factory.hostile import hostile_files
from tests.factory.model_file import Scalar, Shape
from tests.factory.random_model import random_model
from tests.factory.raw import number, valid
from tests.factory.scripted import Answer, answer_token, say, scripted_model
from tests.factory.vocabulary import Vocabulary, bpe, spm


def types(path: Path) -> dict[str, GGMLQuantizationType]:
    return {tensor.name: tensor.tensor_type for tensor in GGUFReader(path).tensors}


def value(path: Path, key: str) -> object:
    field = GGUFReader(path).get_field(key)
    return None if field is None else field.contents()


def test_one_seed_gives_the_same_bytes_and_another_seed_other_ones(tmp_path: Path) -> None:
    first = random_model(tmp_path / "a.gguf", seed=7).read_bytes()
    assert random_model(tmp_path / "b.gguf", seed=7).read_bytes() == first
    assert random_model(tmp_path / "c.gguf", seed=8).read_bytes() != first


@pytest.mark.parametrize("weights", ["F32", "F16", "Q4_0", "Q8_0"])
def test_matrices_have_the_type_asked_for_and_norms_are_f32(weights: str, tmp_path: Path) -> None:
    path = random_model(tmp_path / "m.gguf", weights=GGMLQuantizationType[weights])
    found = types(path)
    norms = {name for name in found if "norm" in name}
    assert {found[name].name for name in norms} == {"F32"}
    assert {found[name].name for name in found.keys() - norms} == {weights}


def test_no_tensor_of_a_random_model_is_float64(tmp_path: Path) -> None:
    """numpy makes float64 of float32 with a float64 scalar, and such a model aborts the engine."""
    assert GGMLQuantizationType.F64 not in types(random_model(tmp_path / "m.gguf")).values()


def test_shape_is_written_as_asked(tmp_path: Path) -> None:
    shape = Shape(layers=3, embedding_length=96, heads=3, kv_heads=1, head_length=32, context_tokens=77)
    path = random_model(tmp_path / "m.gguf", shape=shape)
    assert value(path, "llama.block_count") == 3
    assert value(path, "llama.attention.head_count_kv") == 1
    assert value(path, "llama.context_length") == 77


def test_further_metadata_of_every_kind_is_written(tmp_path: Path) -> None:
    metadata: dict[str, Scalar] = {"x.text": "t", "x.whole": 3, "x.part": 0.5, "x.truth": True}
    path = random_model(tmp_path / "m.gguf", metadata=metadata)
    assert {key: value(path, key) for key in metadata} == metadata


def test_without_a_template_there_is_no_key_for_it(tmp_path: Path) -> None:
    path = random_model(tmp_path / "m.gguf", chat_template=None)
    assert value(path, "tokenizer.chat_template") is None


def test_split_model_comes_in_numbered_parts_that_hold_every_tensor_once(tmp_path: Path) -> None:
    first = random_model(tmp_path / "m.gguf", tensors_per_part=8)
    parts = sorted(tmp_path.glob("*.gguf"))
    assert first == parts[0]
    assert [part.name for part in parts] == [f"m-0000{i}-of-00003.gguf" for i in (1, 2, 3)]
    names = [tensor.name for part in parts for tensor in GGUFReader(part).tensors]
    whole = random_model(tmp_path / "whole.gguf")
    assert names == [tensor.name for tensor in GGUFReader(whole).tensors]


@pytest.mark.parametrize(
    "vocabulary", [spm(), bpe(), spm(size=4000), bpe(size=4000)], ids=lambda v: f"{v.model}{len(v)}"
)
def test_vocabulary_has_the_size_asked_for_and_no_text_twice(vocabulary: Vocabulary) -> None:
    assert len(vocabulary) in (512, 4000)
    assert len(set(vocabulary.texts)) == len(vocabulary.texts) == len(vocabulary.types)


def test_legible_models_never_choose_special_or_byte_tokens(tmp_path: Path) -> None:
    path = random_model(tmp_path / "m.gguf", weights=GGMLQuantizationType.F32)
    output = next(tensor for tensor in GGUFReader(path).tensors if tensor.name == "output.weight").data
    silent = spm().silent()
    assert not np.any(output[silent])
    assert np.all(np.any(np.delete(output, silent, axis=0), axis=1))


def test_scripted_text_survives_any_spelling() -> None:
    text = "the the  the naïve 🎉\n\tthe end "
    assert say(text).text() == text


def test_scripted_model_is_reproducible_and_small(tmp_path: Path) -> None:
    first = scripted_model(tmp_path / "a.gguf", "Hello, world.").read_bytes()
    assert scripted_model(tmp_path / "b.gguf", "Hello, world.").read_bytes() == first
    assert len(first) < 2 << 20


def test_exact_piece_that_cannot_be_one_token_again_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="single bytes are unlimited"):
        scripted_model(tmp_path / "m.gguf", Answer((b"ab", b"-", b"ab")))


@pytest.mark.parametrize("piece", [b"", "a\u2581b".encode()])
def test_piece_that_the_engine_would_print_otherwise_is_an_error(piece: bytes, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="cannot be a piece"):
        scripted_model(tmp_path / "m.gguf", Answer((piece,)))


def test_scripted_template_names_the_answer_for_each_key(tmp_path: Path) -> None:
    path = scripted_model(tmp_path / "m.gguf", {"": "default", "weather": "rain"})
    template = str(value(path, "tokenizer.chat_template"))
    assert '"weather" in last %}' + answer_token(1) in template


@pytest.mark.parametrize(
    ("make", "kind", "odd"),
    [
        (f64_model, GGMLQuantizationType.F64, "token_embd.weight"),
        (crash_model, GGMLQuantizationType.F16, "output_norm.weight"),
    ],
)
def test_a_model_that_crashes_has_one_tensor_of_an_odd_type(
    make: Callable[[Path], Path], kind: GGMLQuantizationType, odd: str, tmp_path: Path
) -> None:
    found = types(make(tmp_path / "m.gguf"))
    assert {name: kind for name, kind in found.items() if kind != GGMLQuantizationType.F32} == {odd: kind}


def test_truncated_keeps_that_many_bytes(tmp_path: Path) -> None:
    whole = random_model(tmp_path / "m.gguf")
    assert truncated(tmp_path / "t.gguf", whole, keep_bytes=100).read_bytes() == whole.read_bytes()[:100]
    assert truncated(tmp_path / "t.gguf", whole, keep_bytes=-1).stat().st_size == whole.stat().st_size - 1


def test_giant_model_is_36_gib_long_and_takes_less_than_a_megabyte(tmp_path: Path) -> None:
    path = giant_model(tmp_path / "m.gguf")
    tensors = GGUFReader(path).tensors
    assert path.stat().st_size >= 36 << 30
    assert path.stat().st_blocks * 512 < 1 << 20
    assert len(tensors) == 3 + 9 * GIANT.layers
    assert tensors[-1].data_offset + tensors[-1].n_bytes <= path.stat().st_size


def test_raw_file_is_a_valid_one(tmp_path: Path) -> None:
    path = tmp_path / "m.gguf"
    path.write_bytes(valid().encode())
    assert value(path, "general.architecture") == "llama"
    assert len(GGUFReader(path).tensors) == 12
    assert header_bytes(path) == -(-len(valid().header()) // 32) * 32


def test_raw_file_with_another_key_keeps_the_others_in_order() -> None:
    changed = valid().having(number("llama.block_count", 2), number("new", 1))
    assert [key.name for key in changed.keys] == [key.name for key in valid().keys] + [b"new"]
    assert valid().having() == valid()
    assert replace(changed, keys=changed.keys[:-1]).without(b"llama.block_count") == valid().without(
        b"llama.block_count"
    )


def test_hostile_files_are_all_different_and_none_is_valid() -> None:
    files = hostile_files()
    assert len(set(files.values())) == len(files)
    assert valid().encode() not in files.values()
