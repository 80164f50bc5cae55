"""Types of tensors: those that no engine can compute with are refused before anything is loaded."""

from dataclasses import replace
from pathlib import Path

import pytest

from runner.facts.ggml_types import GGML_TYPES, NOT_COMPUTED
from runner.facts.reader import read_facts
from tests.factory.broken import crash_model, f64_model
from tests.factory.raw import valid
from tests.factory.typed import typed_model
from tests.runner.facts.files import read, refused

NUMBERS = {kind.name: number for number, kind in GGML_TYPES.items()}


@pytest.mark.parametrize("name", sorted(NOT_COMPUTED))
@pytest.mark.parametrize("where", ["embeddings", "matrices"])
def test_a_type_that_the_engine_would_die_of_is_refused_by_name(name: str, where: str, tmp_path: Path) -> None:
    path = typed_model(tmp_path / "m.gguf", **{where: NUMBERS[name]})
    with refused(f"a tensor in it is of type {name}, with which the engine cannot compute"):
        read_facts([str(path)])


@pytest.mark.parametrize("name", sorted(NUMBERS.keys() - NOT_COMPUTED))
def test_every_other_type_is_served(name: str, tmp_path: Path) -> None:
    path = typed_model(tmp_path / "m.gguf", embeddings=NUMBERS[name], matrices=NUMBERS[name])
    assert {tensor.type for tensor in read_facts([str(path)]).tensors} == {"F32", name}


def test_a_table_of_expert_numbers_may_be_of_integers(tmp_path: Path) -> None:
    file = valid()
    table = replace(file.tensors[1], name=b"blk.0.ffn_gate_tid2eid.weight", type=NUMBERS["I32"])
    assert read(tmp_path, replace(file, tensors=(*file.tensors[:1], table, *file.tensors[2:])))


def test_doubles_are_refused_and_a_file_that_crashes_by_other_means_is_not_known_to(tmp_path: Path) -> None:
    with refused("F64"):
        read_facts([str(f64_model(tmp_path / "secret-path.gguf"))])
    assert read_facts([str(crash_model(tmp_path / "crash.gguf"))]).quantization == "F32"
