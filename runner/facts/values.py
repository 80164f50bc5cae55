"""Metadata values: scalars, strings, and arrays that are stepped over unless somebody wants them."""

import struct
import sys

import msgspec

from runner.facts.cursor import Cursor
from runner.facts.errors import bad_file
from runner.facts.limits import (
    ARRAY_ELEMENTS_MAX,
    ARRAYS_COST_MAX,
    KEY_BYTES_MAX,
    SMALL_ARRAY_ELEMENTS_MAX,
    SMALL_ARRAYS_COST_MAX,
    STRING_BYTES_MAX,
    STRINGS_COST_MAX,
)
from statemachines.facts import Scalar

SCALARS: dict[int, struct.Struct] = {
    0: struct.Struct("<B"),
    1: struct.Struct("<b"),
    2: struct.Struct("<H"),
    3: struct.Struct("<h"),
    4: struct.Struct("<I"),
    5: struct.Struct("<i"),
    6: struct.Struct("<f"),
    7: struct.Struct("<?"),
    10: struct.Struct("<Q"),
    11: struct.Struct("<q"),
    12: struct.Struct("<d"),
}
"""Value types of fixed size, by their number in the file."""
STRING, ARRAY = 8, 9

STRING_PREFIX_BYTES = 8
UNPACK_ELEMENTS = 8_192
"""Elements of an array that are decoded at once."""
SLOT_BYTES = 8
"""What a list holds for each of its elements, beside the element itself."""


class Array(msgspec.Struct, frozen=True):
    """An array value; ``values`` is None when it was stepped over."""

    length: int
    values: list[Scalar] | None


class Budget:
    """What the values of one file may still cost: memory of strings and of arrays, and elements to step over."""

    def __init__(self, *, with_arrays: bool) -> None:
        self._strings_cost = STRINGS_COST_MAX
        self._arrays_cost = ARRAYS_COST_MAX if with_arrays else SMALL_ARRAYS_COST_MAX
        self._elements = ARRAY_ELEMENTS_MAX

    def take_string(self, value: str) -> str:
        self._strings_cost -= sys.getsizeof(value)
        if self._strings_cost < 0:
            raise bad_file("its metadata holds more text than any model's")
        return value

    def take_element(self, value: Scalar) -> Scalar:
        self._arrays_cost -= sys.getsizeof(value) + SLOT_BYTES
        if self._arrays_cost < 0:
            raise bad_file("its arrays hold more values than any model's")
        return value

    def take_elements(self, count: int) -> None:
        self._elements -= count
        if self._elements < 0:
            raise bad_file("its arrays hold more elements than any model's")


def read_key(cursor: Cursor, budget: Budget) -> str:
    """A metadata key: short, not empty, and valid UTF-8."""
    length = cursor.u64()
    if not 0 < length <= KEY_BYTES_MAX:
        raise bad_file("the name of a metadata value is empty or too long")
    return budget.take_string(strict_text(cursor.bytes(length)))


def read_value(cursor: Cursor, budget: Budget, *, with_arrays: bool) -> Scalar | Array:
    """One value with its type before it."""
    kind = cursor.u32()
    if kind == ARRAY:
        return _read_array(cursor, budget, with_arrays=with_arrays)
    if kind == STRING:
        return budget.take_string(_read_string(cursor))
    return _read_scalar(cursor, _scalar_type(kind))


def _read_array(cursor: Cursor, budget: Budget, *, with_arrays: bool) -> Array:
    """Step over or read an array.

    (1) Arrays of arrays are refused: no model has them and the engine refuses them.
    (2) The length must fit the file, before anything is made of it.
    (3) Short arrays of numbers are always read: they hold per-layer values.
    (4) Others are read only if asked for.
    """
    kind, length = cursor.u32(), cursor.u64()
    if kind == ARRAY:  # (1)
        raise bad_file("it holds arrays of arrays")
    element = None if kind == STRING else _scalar_type(kind)
    element_bytes = element.size if element else STRING_PREFIX_BYTES
    if length * element_bytes > cursor.left_bytes:  # (2)
        raise bad_file("an array in it is longer than the file")
    budget.take_elements(length)
    if with_arrays or (element and length <= SMALL_ARRAY_ELEMENTS_MAX):  # (3) (4)
        return Array(length, _read_elements(cursor, budget, element, length))
    if element is None:
        cursor.skip_strings(length)
    else:
        cursor.skip(length * element_bytes)
    return Array(length, None)


def _read_elements(cursor: Cursor, budget: Budget, element: struct.Struct | None, length: int) -> list[Scalar]:
    if element is None:
        return [budget.take_element(_read_string(cursor)) for _ in range(length)]
    return _read_scalars(cursor, budget, element, length)


def _read_scalars(cursor: Cursor, budget: Budget, element: struct.Struct, length: int) -> list[Scalar]:
    values: list[Scalar] = []
    for done in range(0, length, UNPACK_ELEMENTS):
        count = min(UNPACK_ELEMENTS, length - done)
        rows = element.iter_unpack(cursor.bytes(count * element.size))
        values += [budget.take_element(value) for (value,) in rows]
    return values


def _read_scalar(cursor: Cursor, element: struct.Struct) -> Scalar:
    (value,) = element.unpack(cursor.bytes(element.size))
    scalar: Scalar = value
    return scalar


def _read_string(cursor: Cursor) -> str:
    """Text as it is; what is not UTF-8 (tokens are cut anywhere) becomes a replacement character."""
    length = cursor.u64()
    if length > STRING_BYTES_MAX:
        raise bad_file("a text in its metadata is too long")
    return cursor.bytes(length).decode("utf-8", errors="replace")


def _scalar_type(kind: int) -> struct.Struct:
    element = SCALARS.get(kind)
    if element is None:
        raise bad_file(f"it holds a value of the unknown type {kind}")
    return element


def strict_text(data: bytes) -> str:
    """A name: valid UTF-8 or an error."""
    try:
        return data.decode("utf-8")
    except UnicodeDecodeError:
        raise bad_file("a name in it is not valid text") from None
