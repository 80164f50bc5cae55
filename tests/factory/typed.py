"""Models with matrices of any one type, by its number in the file: also types that no library writes."""

import struct
from collections.abc import Iterator
from pathlib import Path

from runner.facts.ggml_types import GGML_TYPES
from tests.factory.raw import ALIGNMENT_BYTES, Key, Kind, RawFile, TensorRow, array, number, text, texts
from tests.factory.vocabulary import Vocabulary, spm

WIDTH, HEADS = 256, 2
"""A row is one block of the largest types."""
MATRICES = ("attn_q", "attn_k", "attn_v", "attn_output", "ffn_gate", "ffn_up", "ffn_down")
NORMS = ("blk.0.attn_norm.weight", "blk.0.ffn_norm.weight", "output_norm.weight")
F32 = 0


def typed_model(path: Path, *, embeddings: int = F32, matrices: int = F32) -> Path:
    """A llama model of one layer, all weights zero; it can tokenise every text."""
    vocabulary = spm()
    shapes = {
        "token_embd.weight": ((WIDTH, len(vocabulary)), embeddings),
        **{f"blk.0.{name}.weight": ((WIDTH, WIDTH), matrices) for name in MATRICES},
        **dict.fromkeys(NORMS, ((WIDTH,), F32)),
        "output.weight": ((WIDTH, len(vocabulary)), F32),
    }
    rows, data_bytes = [], 0
    for name, (dimensions, kind) in shapes.items():
        rows.append(TensorRow(name.encode(), dimensions, kind, data_bytes))
        data_bytes += -(-_size_bytes(dimensions, kind) // ALIGNMENT_BYTES) * ALIGNMENT_BYTES
    path.write_bytes(RawFile(tuple(_keys(vocabulary)), tuple(rows), bytes(data_bytes)).encode())
    return path


def _size_bytes(dimensions: tuple[int, ...], kind: int) -> int:
    elements = dimensions[0] * (dimensions[1] if len(dimensions) > 1 else 1)
    return elements // GGML_TYPES[kind].block_elements * GGML_TYPES[kind].block_bytes


def _keys(vocabulary: Vocabulary) -> Iterator[Key]:
    yield text("general.architecture", "llama")
    for name, value in {
        "block_count": 1,
        "context_length": 128,
        "embedding_length": WIDTH,
        "feed_forward_length": WIDTH,
        "attention.head_count": HEADS,
        "attention.head_count_kv": HEADS,
        "rope.dimension_count": WIDTH // HEADS,
        "vocab_size": len(vocabulary),
    }.items():
        yield number(f"llama.{name}", value)
    yield number("llama.attention.layer_norm_rms_epsilon", 1e-5, Kind.FLOAT32)
    yield text("tokenizer.ggml.model", vocabulary.model)
    yield texts("tokenizer.ggml.tokens", vocabulary.texts)
    scores = [struct.pack("<f", score) for score in vocabulary.scores]
    yield Key(b"tokenizer.ggml.scores", Kind.ARRAY, array(Kind.FLOAT32, scores))
    kinds = [struct.pack("<i", kind) for kind in vocabulary.types]
    yield Key(b"tokenizer.ggml.token_type", Kind.ARRAY, array(Kind.INT32, kinds))
