"""Model files that lie: each one must be refused with an error, quickly and in little memory."""

import struct
from collections.abc import Iterator
from dataclasses import dataclass, replace

from tests.factory.raw import Key, Kind, RawFile, TensorRow, array, number, string, text, valid

HUGE = 1 << 62
WRAPS = (1 << 64) - 1


def hostile_files() -> dict[str, bytes]:
    """Every case by the name of its lie."""
    cases = {**dict(_beginnings()), **dict(_counts()), **dict(_keys()), **dict(_meanings()), **dict(_tensors())}
    return {name: case.encode() if isinstance(case, RawFile) else case for name, case in cases.items()}


def _beginnings() -> Iterator[tuple[str, RawFile | bytes]]:
    good = valid()
    whole = good.encode()
    yield "empty", b""
    yield "only magic", b"GGUF"
    yield "other magic", replace(good, magic=b"GGML")
    yield "version 0", replace(good, version=0)
    yield "version 1", replace(good, version=1)
    yield "version from the future", replace(good, version=1 << 20)
    yield "big endian", b"GGUF" + struct.pack(">IQQ", 3, 0, 0)
    yield "header cut in half", whole[: len(good.header()) // 2]
    yield "no data", good.header()
    yield "one byte of data missing", whole[:-1]


def _counts() -> Iterator[tuple[str, RawFile]]:
    good = valid()
    for name, count in (("huge", HUGE), ("wrapping", WRAPS), ("one too many", None)):
        yield f"{name} key count", replace(good, keys_count=count or 1000)
        yield f"{name} tensor count", replace(good, tensors_count=count or len(good.tensors) + 1)
    yield "no tensors", replace(good, tensors=(), data=b"")


def _keys() -> Iterator[tuple[str, RawFile]]:
    good = valid()
    for name, length in (("huge", HUGE), ("wrapping", WRAPS), ("longer than the file", 1 << 20)):
        yield f"{name} string", good.having(Key(b"x", Kind.STRING, string(b"abc", length=length)))
        yield f"{name} array", good.having(Key(b"x", Kind.ARRAY, array(Kind.UINT8, [b"a"], count=length)))
        yield f"{name} array of strings", good.having(Key(b"x", Kind.ARRAY, array(Kind.STRING, [], count=length)))
        yield f"{name} key", replace(good, keys=(_Long(b"x", Kind.BOOL, b"\1", length), *good.keys))
    nested = array(Kind.UINT8, [b"a"])
    for _ in range(10_000):
        nested = array(Kind.ARRAY, [nested])
    yield "deep array", good.having(Key(b"x", Kind.ARRAY, nested))
    yield "array of an unknown kind", good.having(Key(b"x", Kind.ARRAY, array(99, [b"abcdefgh"])))
    yield "unknown kind", good.having(Key(b"x", 99, b"abcdefgh"))
    yield "key twice", replace(good, keys=(*good.keys, good.keys[0]))
    yield "key not UTF-8", good.having(Key(b"\xff\xfe", Kind.BOOL, b"\1"))


@dataclass(frozen=True)
class _Long(Key):
    """A key whose name claims another length."""

    length: int

    def encode(self) -> bytes:
        return string(self.name, length=self.length) + super().encode()[8 + len(self.name) :]


def _meanings() -> Iterator[tuple[str, RawFile]]:
    """Well-formed rows that make no sense: missing, of the wrong kind, zero, or far too large."""
    good = valid()
    yield "no architecture", good.without(b"general.architecture")
    yield "architecture is a number", good.having(number("general.architecture", 7))
    yield "architecture not UTF-8", good.having(Key(b"general.architecture", Kind.STRING, string(b"\xff")))
    yield "no block count", good.without(b"llama.block_count")
    yield "block count is a text", good.having(text("llama.block_count", "one"))
    yield "negative block count", good.having(number("llama.block_count", -1, Kind.INT32))
    yield "huge block count", good.having(number("llama.block_count", (1 << 32) - 1))
    yield "no heads", good.having(number("llama.attention.head_count", 0))
    yield "no width", good.having(number("llama.embedding_length", 0))
    yield "negative width", good.having(number("llama.embedding_length", -32, Kind.INT32))
    yield "chat template is a number", good.having(number("tokenizer.chat_template", 1))
    for name, value in (("zero", 0), ("odd", 3), ("huge", 1 << 31)):
        yield f"{name} alignment", good.having(number("general.alignment", value))
    yield "alignment is a text", good.having(text("general.alignment", "32"))


def _tensors() -> Iterator[tuple[str, RawFile]]:
    good = valid()
    row = good.tensors[1]
    lies: dict[str, TensorRow] = {
        "no dimensions, huge count": replace(row, dimensions_count=(1 << 32) - 1),
        "five dimensions": replace(row, dimensions=(32, 1, 1, 1, 32)),
        "sizes that overflow": replace(row, dimensions=(1 << 40, 1 << 40)),
        "negative size": replace(row, dimensions=(32, 1 << 63)),
        "unknown tensor type": replace(row, type=999),
        "offset behind the end": replace(row, offset=1 << 30),
        "offset that wraps": replace(row, offset=WRAPS - 31),
        "offset between alignments": replace(row, offset=row.offset + 1),
        "larger than the file": replace(row, dimensions=(1 << 20, 1 << 10)),
        "row that is no whole block": replace(row, dimensions=(31, 32), type=2),
        "tensor name too long": replace(row, name=b"x" * 100_000),
        "tensor name not UTF-8": replace(row, name=b"\xff\xfe"),
        "tensor twice": replace(row, name=good.tensors[0].name),
    }
    for name, lie in lies.items():
        yield name, replace(good, tensors=(good.tensors[0], lie, *good.tensors[2:]))
