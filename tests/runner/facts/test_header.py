"""The header: what is a GGUF file, and every way not to be one."""

import os
import re
import struct
from dataclasses import replace
from pathlib import Path

import pytest

import runner.facts.cursor
from runner.facts import limits
from runner.facts.header import read_header
from runner.facts.reader import read_facts
from runner.facts.values import Array
from statemachines.errors import RefusalCode
from tests.bad_input.files import HOSTILE, unusable
from tests.factory.hostile import hostile_files
from tests.factory.raw import Key, Kind, RawFile, TensorRow, array, number, string, text, texts, valid
from tests.runner.facts.files import read, refused, unpacked, write


def test_every_hostile_file_has_its_sentence() -> None:
    assert hostile_files().keys() == HOSTILE.keys()


@pytest.mark.parametrize("with_arrays", [False, True])
@pytest.mark.parametrize("case", HOSTILE)
def test_a_file_that_lies_is_refused_in_so_many_words(case: str, with_arrays: bool, tmp_path: Path) -> None:
    with refused(f"^{re.escape(unusable(HOSTILE[case]))}$"):
        read(tmp_path, hostile_files()[case], with_arrays=with_arrays)


@pytest.mark.parametrize("with_arrays", [False, True])
def test_every_beginning_of_a_valid_file_is_refused(tmp_path: Path, with_arrays: bool) -> None:
    whole = valid().encode()
    read(tmp_path, whole, with_arrays=with_arrays)
    path = tmp_path / "secret-path.gguf"
    for end in reversed(range(len(valid().header()) + 1)):
        os.truncate(path, end)
        with refused():
            read_header(str(path), with_arrays=with_arrays)


def test_versions_two_and_three_say_the_same(tmp_path: Path) -> None:
    assert read(tmp_path, replace(valid(), version=2)) == read(tmp_path, valid())


@pytest.mark.parametrize(
    ("file", "words"),
    [
        (replace(valid(), version=1), "version 1"),
        (b"GGUF" + struct.pack(">IQQ", 3, 1, 1), "big-endian"),
        (b"tjgg" + bytes(64), "older than GGUF"),
        (b"PK\x03\x04" + bytes(64), "not a GGUF file"),
        (replace(valid(), tensors=(TensorRow(b"x", (32,), 31, 0),)), "old, removed type 31"),
        (replace(valid(), tensors=(TensorRow(b"x", (32,), 77, 0),)), "unknown type 77"),
    ],
)
def test_what_is_not_served_is_named(file: RawFile | bytes, words: str, tmp_path: Path) -> None:
    with refused(words):
        read(tmp_path, file)


def test_every_kind_of_value_is_read(tmp_path: Path) -> None:
    numbers: dict[Kind, int | float | bool] = {
        Kind.UINT8: 255,
        Kind.INT8: -128,
        Kind.UINT16: 65_535,
        Kind.INT16: -32_768,
        Kind.UINT32: (1 << 32) - 1,
        Kind.INT32: -(1 << 31),
        Kind.FLOAT32: 0.5,
        Kind.BOOL: True,
        Kind.UINT64: (1 << 64) - 1,
        Kind.INT64: -(1 << 63),
        Kind.FLOAT64: -0.25,
    }
    keys = [number(f"x.{kind.name}", value, kind) for kind, value in numbers.items()]
    facts = read(tmp_path, valid().having(*keys, text("x.text", "äöü")))
    assert {kind: facts.metadata[f"x.{kind.name}"] for kind in numbers} == numbers
    assert facts.metadata["x.text"] == "äöü"


def test_text_that_is_no_utf_8_is_shown_with_replacements(tmp_path: Path) -> None:
    facts = read(tmp_path, valid().having(Key(b"x", Kind.STRING, string(b"a\xffb"))))
    assert facts.metadata["x"] == "a\N{REPLACEMENT CHARACTER}b"


def test_arrays_are_stepped_over_unless_asked_for(tmp_path: Path) -> None:
    file = valid().having(texts("x", [b"one", b"", b"drei"]))
    assert read(tmp_path, file).metadata["x"] is None
    assert read(tmp_path, file, with_arrays=True).metadata["x"] == ["one", "", "drei"]


@pytest.mark.parametrize("count", [0, 1, limits.SMALL_ARRAY_ELEMENTS_MAX, limits.SMALL_ARRAY_ELEMENTS_MAX + 1, 20_000])
def test_arrays_of_numbers_of_any_length_end_where_they_should(count: int, tmp_path: Path) -> None:
    values = [struct.pack("<h", index % 1000) for index in range(count)]
    file = valid().having(Key(b"x", Kind.ARRAY, array(Kind.INT16, values)), text("y", "after"))
    path = write(tmp_path, file)
    kept = read_header(path).values["x"]
    is_small = count <= limits.SMALL_ARRAY_ELEMENTS_MAX
    assert kept == Array(count, [index % 1000 for index in range(count)] if is_small else None)
    shown = unpacked(read_facts([path], with_arrays=True)).metadata
    assert shown["x"] == [index % 1000 for index in range(count)]
    assert shown["y"] == "after"


@pytest.mark.parametrize("window_bytes", [1, 7, 64, 1 << 20])
def test_the_size_of_the_window_makes_no_difference(
    window_bytes: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = valid().having(texts("x", [b"", b"long" * 40, b"s"] * 30), text("y", "after"))
    wanted = read(tmp_path, file)
    monkeypatch.setattr(runner.facts.cursor, "WINDOW_BYTES", window_bytes)
    assert read(tmp_path, file) == wanted


def test_a_tensor_without_dimensions_is_one_element(tmp_path: Path) -> None:
    file = valid()
    header = read_header(write(tmp_path, replace(file, tensors=(TensorRow(b"one", (), 0, 0),))))
    assert [(tensor.element_count, tensor.size_bytes) for tensor in header.tensors] == [(1, 4)]
    with refused("blocks of Q4_0"):
        read_header(write(tmp_path, replace(file, tensors=(TensorRow(b"one", (), 2, 0),))))


def test_tensors_that_share_their_bytes_are_refused(tmp_path: Path) -> None:
    rows = tuple(TensorRow(b"t%d" % index, (64,), 0, 0) for index in range(5))
    with refused("overlap"):
        read(tmp_path, replace(valid(), tensors=rows, data=bytes(1024)))


@pytest.mark.parametrize(
    ("limit", "value", "words", "change"),
    [
        ("cursor.HEADER_BYTES_MAX", 200, "header is larger", ()),
        ("header.KEYS_MAX", 3, "more metadata", ()),
        ("header.TENSORS_MAX", 3, "more tensors", ()),
        ("values.KEY_BYTES_MAX", 10, "empty or too long", ()),
        ("values.STRING_BYTES_MAX", 3, "text in its metadata is too long", ()),
        ("values.STRINGS_COST_MAX", 300, "more text", ()),
        ("values.ARRAY_ELEMENTS_MAX", 3, "more elements", ()),
        ("values.SMALL_ARRAYS_COST_MAX", 100, "more values", ()),
    ],
)
def test_every_limit_holds(
    limit: str, value: int, words: str, change: tuple[Key, ...], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(f"runner.facts.{limit}", value)
    with refused(words):
        read_header(write(tmp_path, valid().having(*change)), with_arrays=True)


@pytest.mark.parametrize(("limit", "value"), [("SHOWN_BYTES_MAX", 1_200), ("SHOWN_COST_MAX", 400)])
def test_arrays_that_are_too_much_for_an_answer_are_refused_only_where_they_are_asked_for(
    limit: str, value: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(f"runner.facts.values.{limit}", value)
    path = write(tmp_path, valid().having(texts("x", [b"text"] * 100)))
    read_header(path)
    with refused("without 'verbose'", RefusalCode.NOT_SERVED):
        read_header(path, with_arrays=True)


@pytest.mark.parametrize("name", [b"", b"\xff"])
def test_a_key_without_a_name_is_refused(name: bytes, tmp_path: Path) -> None:
    with refused("name"):
        read(tmp_path, valid().having(Key(name, Kind.BOOL, b"\1")))


def test_a_file_that_shrinks_while_it_is_read_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = write(tmp_path, valid())
    monkeypatch.setattr("runner.facts.cursor.os.pread", lambda _fd, _count, _at: b"GG")
    with refused("became shorter"):
        read_header(path)


def test_a_disk_that_fails_is_not_the_files_fault(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = write(tmp_path, valid())

    def fail(*_: object) -> bytes:
        raise OSError(5, "Input/output error")

    monkeypatch.setattr("runner.facts.cursor.os.pread", fail)
    with refused("disk", RefusalCode.LOAD_FAILED):
        read_header(path)


def test_what_cannot_be_opened_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with refused("not there", RefusalCode.NOT_FOUND):
        read_header(str(tmp_path / "absent.gguf"))
    with refused("regular file", RefusalCode.LOAD_FAILED):
        read_header(str(tmp_path))
    os.mkfifo(tmp_path / "pipe.gguf")
    with refused("regular file", RefusalCode.LOAD_FAILED):
        read_header(str(tmp_path / "pipe.gguf"))
    with refused("cannot be opened", RefusalCode.LOAD_FAILED):
        read_header("nul\0byte")

    def forbid(*_: object) -> int:
        raise PermissionError

    monkeypatch.setattr("runner.facts.cursor.os.open", forbid)
    with refused("permission", RefusalCode.LOAD_FAILED):
        read_header(str(tmp_path / "pipe.gguf"))
