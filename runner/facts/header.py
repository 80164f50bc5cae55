"""One file's header: its metadata and its tensor table, checked against the format, the limits and the file's size.

Format: https://github.com/ggml-org/ggml/blob/master/docs/gguf.md, versions 2 and 3 in little-endian order. All
arithmetic is on Python's integers, so nothing can overflow; what would overflow elsewhere is refused by comparison.
"""

import msgspec

from runner.facts.cursor import Cursor, open_header
from runner.facts.errors import bad_file
from runner.facts.ggml_types import GGML_TYPES, REMOVED_TYPES, GgmlType
from runner.facts.limits import (
    ALIGNMENT_BYTES_MAX,
    DIMENSIONS_MAX,
    KEYS_MAX,
    TENSOR_NAME_BYTES_MAX,
    TENSORS_MAX,
)
from runner.facts.values import Array, Budget, read_key, read_value, strict_text
from statemachines.facts import Scalar

MAGIC = b"GGUF"
OLD_MAGICS = frozenset({b"lmgg", b"fmgg", b"tjgg", b"algg"})
"""Formats from before GGUF, as they lie in a file."""
VERSIONS = (2, 3)
DEFAULT_ALIGNMENT = 32
ALIGNMENT_KEY = "general.alignment"
KEY_BYTES_MIN, TENSOR_BYTES_MIN = 13, 24
"""The least that one key with its value, and one row of the tensor table, take in a file [bytes]."""
ELEMENTS_MAX = (1 << 63) - 1
"""Elements of one tensor, as in the engine."""


class Tensor(msgspec.Struct, frozen=True):
    """One row of the tensor table.

    Attributes:
        shape: in file order (fastest first).
        offset: from the beginning of the tensor data [bytes].
    """

    name: str
    type: GgmlType
    shape: tuple[int, ...]
    offset: int
    element_count: int
    size_bytes: int


class Header(msgspec.Struct, frozen=True):
    """What one file says.

    Attributes:
        values: every key; an array is there with its length even when its values were stepped over.
        size_bytes: of the file.
    """

    version: int
    values: dict[str, Scalar | Array]
    tensors: tuple[Tensor, ...]
    size_bytes: int


def read_header(path: str, *, with_arrays: bool = False) -> Header:
    """Read and check one file.

    Raises:
        BadModelFile: the file cannot be read, breaks the format, or exceeds a limit.
    """
    with open_header(path) as cursor:
        version = _read_version(cursor)
        tensor_count, key_count = _read_counts(cursor)
        values = _read_values(cursor, key_count, with_arrays=with_arrays)
        alignment = _alignment(values)
        tensors = tuple(_read_tensors(cursor, tensor_count).values())
        _check_data(tensors, alignment, _aligned(cursor.position, alignment), cursor.size_bytes)
        return Header(version, values, tensors, cursor.size_bytes)


def _read_version(cursor: Cursor) -> int:
    """The version, or why the file is none that can be read.

    (1) Another kind of file, or one from before GGUF.
    (2) A small number in the upper half means the other byte order.
    (3) Version 1 had other widths; its files were replaced in 2023.
    """
    magic = cursor.bytes(len(MAGIC))
    if magic in OLD_MAGICS:  # (1)
        raise bad_file("it is in a format older than GGUF")
    if magic != MAGIC:
        raise bad_file("it is not a GGUF file")
    version = cursor.u32()
    if version and not version & 0xFFFF:  # (2)
        raise bad_file("it is a big-endian GGUF file; only little-endian ones are served")
    if version not in VERSIONS:  # (3)
        raise bad_file(f"it is GGUF version {version}; versions 2 and 3 are served")
    return version


def _read_counts(cursor: Cursor) -> tuple[int, int]:
    tensors, keys = cursor.u64(), cursor.u64()
    if tensors > TENSORS_MAX or tensors * TENSOR_BYTES_MIN > cursor.left_bytes:
        raise bad_file("it claims more tensors than it can hold")
    if keys > KEYS_MAX or keys * KEY_BYTES_MIN > cursor.left_bytes:
        raise bad_file("it claims more metadata than it can hold")
    return tensors, keys


def _read_values(cursor: Cursor, count: int, *, with_arrays: bool) -> dict[str, Scalar | Array]:
    budget = Budget()
    values: dict[str, Scalar | Array] = {}
    for _ in range(count):
        key = read_key(cursor, budget)
        if key in values:
            raise bad_file("a metadata value in it appears twice")
        values[key] = read_value(cursor, budget, with_arrays=with_arrays)
    return values


def _alignment(values: dict[str, Scalar | Array]) -> int:
    alignment = values.get(ALIGNMENT_KEY, DEFAULT_ALIGNMENT)
    if type(alignment) is not int or not 0 < alignment <= ALIGNMENT_BYTES_MAX or alignment & (alignment - 1):
        raise bad_file("its alignment is not a power of two")
    return alignment


def _read_tensors(cursor: Cursor, count: int) -> dict[str, Tensor]:
    tensors: dict[str, Tensor] = {}
    for _ in range(count):
        tensor = _read_tensor(cursor)
        if tensor.name in tensors:
            raise bad_file("a tensor in it appears twice")
        tensors[tensor.name] = tensor
    return tensors


def _read_tensor(cursor: Cursor) -> Tensor:
    name = _read_tensor_name(cursor)
    shape = _read_shape(cursor)
    type_number, offset = cursor.u32(), cursor.u64()
    type_ = GGML_TYPES.get(type_number)
    if type_ is None:
        age = "an old, removed" if type_number in REMOVED_TYPES else "the unknown"
        raise bad_file(f"a tensor in it has {age} type {type_number}")
    elements = _element_count(shape)
    row_elements = shape[0] if shape else 1
    if row_elements % type_.block_elements:
        raise bad_file(f"the rows of a tensor in it do not divide into blocks of {type_.name}")
    return Tensor(name, type_, shape, offset, elements, elements // type_.block_elements * type_.block_bytes)


def _read_tensor_name(cursor: Cursor) -> str:
    length = cursor.u64()
    if not 0 < length <= TENSOR_NAME_BYTES_MAX:
        raise bad_file("the name of a tensor in it is empty or too long")
    return strict_text(cursor.bytes(length))


def _read_shape(cursor: Cursor) -> tuple[int, ...]:
    dimensions = cursor.u32()
    if dimensions > DIMENSIONS_MAX:
        raise bad_file(f"a tensor in it has {dimensions} dimensions; at most {DIMENSIONS_MAX} are possible")
    return tuple(cursor.u64() for _ in range(dimensions))


def _element_count(shape: tuple[int, ...]) -> int:
    elements = 1
    for length in shape:
        if not 0 < length <= ELEMENTS_MAX // elements:
            raise bad_file("a tensor in it has an impossible size")
        elements *= length
    return elements


def _aligned(count: int, alignment: int) -> int:
    return -(-count // alignment) * alignment


def _check_data(tensors: tuple[Tensor, ...], alignment: int, start: int, size_bytes: int) -> None:
    """Every tensor lies aligned inside the file, and together they are not more than what follows the header."""
    held = 0
    for tensor in tensors:
        if tensor.offset % alignment:
            raise bad_file("a tensor in it is not aligned")
        if start + tensor.offset + tensor.size_bytes > size_bytes:
            raise bad_file("its tensors reach beyond its end; it is probably not complete")
        held += tensor.size_bytes
    if start + held > size_bytes and tensors:
        raise bad_file("its tensors overlap")
