"""Which weights get a second copy, by processor and by what they are for."""

from pathlib import Path

import pytest

from runner.facts import repack
from runner.facts.ggml_types import GGML_TYPES
from runner.facts.header import Tensor


@pytest.fixture(autouse=True)
def fresh_answer() -> None:
    repack.repacked_types.cache_clear()


def tensor(name: str, shape: tuple[int, ...], kind: str = "Q4_0") -> Tensor:
    (found,) = [t for t in GGML_TYPES.values() if t.name == kind]
    return Tensor(name, found, shape, 0, 0, 100)


@pytest.mark.parametrize("machine", ["x86_64", "AMD64"])
def test_x86_has_fast_forms_of_few_types(machine: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("runner.facts.repack.platform.machine", lambda: machine)
    monkeypatch.setattr(repack, "_has_amx", lambda: False)
    assert repack.repacked_types() == repack.X86_TYPES
    assert "Q8_0" not in repack.repacked_types()


def test_matrix_tiles_add_types(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("runner.facts.repack.platform.machine", lambda: "x86_64")
    monkeypatch.setattr(repack, "_has_amx", lambda: True)
    assert {"Q8_0", "Q4_K", "MXFP4"} < repack.repacked_types()


def test_another_processor_is_expected_to_rearrange_all_it_could(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("runner.facts.repack.platform.machine", lambda: "aarch64")
    assert repack.repacked_types() == repack.OTHER_TYPES


def test_matrix_tiles_are_found_in_the_processors_flags(tmp_path: Path) -> None:
    cpuinfo = tmp_path / "cpuinfo"
    assert not repack._has_amx(cpuinfo)
    cpuinfo.write_text("flags : avx2\n")
    assert not repack._has_amx(cpuinfo)
    cpuinfo.write_text("flags : avx2 amx_int8\n")
    assert repack._has_amx(cpuinfo)


@pytest.mark.parametrize(
    ("row", "output_is_shared", "is_copied"),
    [
        (tensor("blk.0.attn_q.weight", (32, 32)), False, True),
        (tensor("blk.0.ffn_up_exps.weight", (32, 32, 4)), False, True),
        (tensor("blk.0.attn_q.weight", (32, 33)), False, False),
        (tensor("blk.0.attn_norm.weight", (32,)), False, False),
        (tensor("blk.0.attn_q.weight", (32, 32), "F32"), False, False),
        (tensor("token_embd.weight", (32, 32)), False, False),
        (tensor("token_embd.weight", (32, 32)), True, True),
        (tensor("position_embd.weight", (32, 32)), True, False),
    ],
)
def test_only_what_is_multiplied_in_whole_groups_is_copied(
    row: Tensor, output_is_shared: bool, is_copied: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(repack, "repacked_types", lambda: repack.X86_TYPES)
    assert repack.repack_bytes([row], output_is_shared=output_is_shared) == (100 if is_copied else 0)
