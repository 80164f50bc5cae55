"""Metadata values: scalars, strings, and arrays that are stepped over unless somebody wants them.

Arrays that somebody wants are never held as objects, of which a large vocabulary takes 60 MiB: each element is packed
at once, as it will travel, and so costs what it costs in the file.
"""

import struct
import sys
from collections.abc import Iterable, Iterator

import msgspec

from runner.facts.cursor import Cursor
from runner.facts.errors import bad_file, too_large_to_show
from runner.facts.limits import (
    ARRAY_ELEMENTS_MAX,
    KEY_BYTES_MAX,
    SHOWN_BYTES_MAX,
    SHOWN_COST_MAX,
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
PACKED_ARRAY = struct.Struct(">BI")
"""How an array begins in MessagePack: the longest of its three forms, then the length."""
PACKED_ARRAY_MARK = 0xDD
PACK = msgspec.msgpack.Encoder()


class Array(msgspec.Struct, frozen=True):
    """An array value.

    Attributes:
        values: of a short array of numbers; None for any other.
        packed: all elements as MessagePack; None unless asked for.
    """

    length: int
    values: list[Scalar] | None
    packed: msgspec.Raw | None = None


class Budget:
    """What the values of one file may still cost: memory of strings and of arrays, and elements to step over.

    What is shown is counted apart, and texts count there as well: they travel in the same answer. A file that is
    refused without its arrays is so with them too.
    """

    def __init__(self) -> None:
        self._strings_cost = STRINGS_COST_MAX
        self._arrays_cost = SMALL_ARRAYS_COST_MAX
        self._elements = ARRAY_ELEMENTS_MAX
        self._shown_bytes = SHOWN_BYTES_MAX
        self._shown_cost = SHOWN_COST_MAX

    def take_string(self, value: str) -> str:
        self._strings_cost -= sys.getsizeof(value)
        self._shown_bytes -= sys.getsizeof(value)
        if self._strings_cost < 0:
            raise bad_file("its metadata holds more text than any model's")
        return value

    def take_element(self, value: Scalar) -> Scalar:
        self._arrays_cost -= sys.getsizeof(value) + SLOT_BYTES
        if self._arrays_cost < 0:
            raise bad_file("its arrays hold more values than any model's")
        return value

    def check_shown(self, packed_bytes: int) -> None:
        """An array is being packed and has come to this size, by now."""
        if packed_bytes > self._shown_bytes or self._shown_cost < 0:
            raise too_large_to_show()

    def take_shown(self, packed_bytes: int) -> None:
        self.check_shown(packed_bytes)
        self._shown_bytes -= packed_bytes

    def take_shown_element(self, value: Scalar) -> None:
        self._shown_cost -= sys.getsizeof(value) + SLOT_BYTES

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
    (4) Arrays are packed only if asked for.
    (5) What is neither is stepped over.
    """
    kind, length = cursor.u32(), cursor.u64()
    if kind == ARRAY:  # (1)
        raise bad_file("it holds arrays of arrays")
    element = None if kind == STRING else _scalar_type(kind)
    element_bytes = element.size if element else STRING_PREFIX_BYTES
    if length * element_bytes > cursor.left_bytes:  # (2)
        raise bad_file("an array in it is longer than the file")
    budget.take_elements(length)
    if element and length <= SMALL_ARRAY_ELEMENTS_MAX:  # (3)
        values = [budget.take_element(value) for value in _elements(cursor, element, length)]
        return Array(length, values, _pack(values, length, budget) if with_arrays else None)
    if with_arrays:  # (4)
        return Array(length, None, _pack(_elements(cursor, element, length), length, budget))
    if element is None:  # (5)
        cursor.skip_strings(length)
    else:
        cursor.skip(length * element_bytes)
    return Array(length, None)


def _elements(cursor: Cursor, element: struct.Struct | None, length: int) -> Iterator[Scalar]:
    if element is None:
        yield from (_read_string(cursor) for _ in range(length))
        return
    for done in range(0, length, UNPACK_ELEMENTS):
        count = min(UNPACK_ELEMENTS, length - done)
        for (value,) in element.iter_unpack(cursor.bytes(count * element.size)):
            yield value


def _pack(values: Iterable[Scalar], length: int, budget: Budget) -> msgspec.Raw:
    packed = bytearray(PACKED_ARRAY.pack(PACKED_ARRAY_MARK, length))
    for value in values:
        budget.take_shown_element(value)
        PACK.encode_into(value, packed, -1)
        budget.check_shown(len(packed))
    budget.take_shown(len(packed))
    return msgspec.Raw(packed)


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
