"""GGUF by the byte: a file as counts, keys and tensor rows, each of which may be a lie.

`valid` is a whole small model; `dataclasses.replace` makes one thing wrong in it.
"""

import struct
from collections.abc import Sequence
from dataclasses import dataclass, replace
from enum import IntEnum

ALIGNMENT_BYTES = 32
WIDTH, HEADS, FEED_FORWARD, VOCAB = 32, 2, 32, 4


class Kind(IntEnum):
    """Types of metadata values in the GGUF format."""

    UINT8, INT8, UINT16, INT16, UINT32, INT32, FLOAT32, BOOL, STRING, ARRAY, UINT64, INT64, FLOAT64 = range(13)


_PACK = {
    Kind.UINT8: "B",
    Kind.INT8: "b",
    Kind.UINT16: "H",
    Kind.INT16: "h",
    Kind.UINT32: "I",
    Kind.INT32: "i",
    Kind.FLOAT32: "f",
    Kind.BOOL: "?",
    Kind.UINT64: "Q",
    Kind.INT64: "q",
    Kind.FLOAT64: "d",
}


@dataclass(frozen=True)
class Key:
    """One metadata row: `value` is encoded already."""

    name: bytes
    kind: int
    value: bytes

    def encode(self) -> bytes:
        return string(self.name) + struct.pack("<I", self.kind) + self.value


@dataclass(frozen=True)
class TensorRow:
    """One row of the tensor table; `type` 0 is F32. `dimensions_count` overrides what is there."""

    name: bytes
    dimensions: tuple[int, ...]
    type: int
    offset: int
    dimensions_count: int | None = None

    def encode(self) -> bytes:
        count = len(self.dimensions) if self.dimensions_count is None else self.dimensions_count
        dimensions = struct.pack(f"<{len(self.dimensions)}Q", *self.dimensions)
        return string(self.name) + struct.pack("<I", count) + dimensions + struct.pack("<IQ", self.type, self.offset)


@dataclass(frozen=True)
class RawFile:
    """A file in its parts; counts are those of the parts unless overridden."""

    keys: tuple[Key, ...]
    tensors: tuple[TensorRow, ...]
    data: bytes
    magic: bytes = b"GGUF"
    version: int = 3
    keys_count: int | None = None
    tensors_count: int | None = None

    def header(self) -> bytes:
        """Everything before the padding and the data."""
        tensors = len(self.tensors) if self.tensors_count is None else self.tensors_count
        keys = len(self.keys) if self.keys_count is None else self.keys_count
        rows = b"".join([*(key.encode() for key in self.keys), *(row.encode() for row in self.tensors)])
        return self.magic + struct.pack("<IQQ", self.version, tensors, keys) + rows

    def encode(self) -> bytes:
        header = self.header()
        return header + bytes(-len(header) % ALIGNMENT_BYTES) + self.data

    def without(self, name: bytes) -> "RawFile":
        """The same file without that key."""
        return replace(self, keys=tuple(key for key in self.keys if key.name != name))

    def having(self, *keys: Key) -> "RawFile":
        """The same file with these keys instead of those of the same names; new ones come last."""
        changed = {key.name: key for key in keys}
        kept = tuple(changed.pop(key.name, key) for key in self.keys)
        return replace(self, keys=(*kept, *changed.values()))


def string(text: bytes, *, length: int | None = None) -> bytes:
    """A length-prefixed string; `length` overrides the true one."""
    return struct.pack("<Q", len(text) if length is None else length) + text


def array(kind: int, items: Sequence[bytes], *, count: int | None = None) -> bytes:
    """An array of encoded items; `count` overrides the true one."""
    return struct.pack("<IQ", kind, len(items) if count is None else count) + b"".join(items)


def number(name: str, value: int | float | bool, kind: Kind = Kind.UINT32) -> Key:
    """A key with a number in it."""
    return Key(name.encode(), kind, struct.pack("<" + _PACK[kind], value))


def text(name: str, value: str) -> Key:
    """A key with a string in it."""
    return Key(name.encode(), Kind.STRING, string(value.encode()))


def texts(name: str, values: Sequence[bytes]) -> Key:
    """A key with an array of strings in it."""
    return Key(name.encode(), Kind.ARRAY, array(Kind.STRING, [string(value) for value in values]))


def valid() -> RawFile:
    """A whole llama model with one layer and four tokens, all weights zero; llama.cpp loads it.

    It cannot tokenise (there are no byte tokens): the header stays short, so that tests can cut it at every byte.
    """
    tokens = [b"<unk>", b"<s>", b"</s>", b"a"]
    keys = (
        text("general.architecture", "llama"),
        text("general.name", "raw"),
        number("general.file_type", 0),
        number("general.alignment", ALIGNMENT_BYTES),
        number("llama.block_count", 1),
        number("llama.context_length", 128),
        number("llama.embedding_length", WIDTH),
        number("llama.feed_forward_length", FEED_FORWARD),
        number("llama.attention.head_count", HEADS),
        number("llama.attention.head_count_kv", HEADS),
        number("llama.attention.layer_norm_rms_epsilon", 1e-5, Kind.FLOAT32),
        number("llama.rope.dimension_count", WIDTH // HEADS),
        number("llama.vocab_size", VOCAB),
        text("tokenizer.ggml.model", "llama"),
        texts("tokenizer.ggml.tokens", tokens),
        Key(b"tokenizer.ggml.scores", Kind.ARRAY, array(Kind.FLOAT32, [struct.pack("<f", 0.0)] * VOCAB)),
        Key(b"tokenizer.ggml.token_type", Kind.ARRAY, array(Kind.INT32, [struct.pack("<i", i) for i in (2, 3, 3, 1)])),
        text("tokenizer.chat_template", "{{ messages[-1]['content'] }}"),
    )
    tensors, data_bytes = _tensor_rows()
    return RawFile(keys, tensors, bytes(data_bytes))


def _tensor_rows() -> tuple[tuple[TensorRow, ...], int]:
    """All tensors, F32, one behind the other; every one of them is a multiple of the alignment."""
    square = (WIDTH, WIDTH)
    squares = ("attn_q", "attn_k", "attn_v", "attn_output", "ffn_gate", "ffn_up", "ffn_down")
    shapes: dict[str, tuple[int, ...]] = {
        "token_embd.weight": (WIDTH, VOCAB),
        **{f"blk.0.{name}.weight": square for name in squares},
        **{f"blk.0.{name}.weight": (WIDTH,) for name in ("attn_norm", "ffn_norm")},
        "output_norm.weight": (WIDTH,),
        "output.weight": (WIDTH, VOCAB),
    }
    rows, offset = [], 0
    for name, dimensions in shapes.items():
        rows.append(TensorRow(name.encode(), dimensions, 0, offset))
        elements = dimensions[0] * (dimensions[1] if len(dimensions) > 1 else 1)
        offset += 4 * elements
    return tuple(rows), offset
