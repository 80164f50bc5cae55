"""Writes llama-architecture GGUF files. Reads nothing but its arguments: equal arguments give equal bytes."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
from gguf import GGMLQuantizationType, GGUFWriter, LlamaFileType
from gguf.quants import quantize

from tests.factory.vocabulary import BOS, EOS, UNKNOWN, Vocabulary

FILE_TYPES = {
    GGMLQuantizationType.F32: LlamaFileType.ALL_F32,
    GGMLQuantizationType.F16: LlamaFileType.MOSTLY_F16,
    GGMLQuantizationType.Q4_0: LlamaFileType.MOSTLY_Q4_0,
    GGMLQuantizationType.Q8_0: LlamaFileType.MOSTLY_Q8_0,
}
Floats = npt.NDArray[np.float32]
Scalar = str | int | float | bool


@dataclass(frozen=True)
class Shape:
    """The sizes of a llama model; widths are multiples of 32 so that every weight type fits.

    Attributes:
        head_length: elements of one attention head; RoPE turns all of them.
    """

    layers: int = 2
    embedding_length: int = 64
    heads: int = 4
    kv_heads: int = 2
    head_length: int = 16
    feed_forward_length: int = 96
    context_tokens: int = 2048


@dataclass(frozen=True)
class Tensor:
    """One tensor as it goes into the file: `values` in row order, stored as `type`."""

    name: str
    values: Floats
    type: GGMLQuantizationType


def tensor_shapes(shape: Shape, vocab_size: int) -> dict[str, tuple[int, ...]]:
    """Every tensor that llama.cpp wants of this shape, in numpy's order (rows first)."""
    width, query = shape.embedding_length, shape.heads * shape.head_length
    key = shape.kv_heads * shape.head_length
    block = {
        "attn_norm": (width,),
        "attn_q": (query, width),
        "attn_k": (key, width),
        "attn_v": (key, width),
        "attn_output": (width, query),
        "ffn_norm": (width,),
        "ffn_gate": (shape.feed_forward_length, width),
        "ffn_up": (shape.feed_forward_length, width),
        "ffn_down": (width, shape.feed_forward_length),
    }
    blocks = {f"blk.{layer}.{name}.weight": rows for layer in range(shape.layers) for name, rows in block.items()}
    ends = {"output_norm.weight": (width,), "output.weight": (vocab_size, width)}
    return {"token_embd.weight": (vocab_size, width), **blocks, **ends}


def write_model(
    path: Path,
    *,
    shape: Shape,
    vocabulary: Vocabulary,
    tensors: Iterable[Tensor],
    weights: GGMLQuantizationType,
    chat_template: str | None = None,
    name: str = "",
    metadata: Mapping[str, Scalar] | None = None,
    tensors_per_part: int = 0,
) -> Path:
    """Writes one model, or with `tensors_per_part` a split one, and returns the path of its first part.

    Args:
        metadata: further keys; they are added last and must be new.
        tensors_per_part: tensors in each part [count]; 0 writes a single file.
    """
    writer = GGUFWriter(path, "llama", split_max_tensors=tensors_per_part)
    describe(writer, shape=shape, vocabulary=vocabulary, weights=weights, name=name)
    if chat_template is not None:
        writer.add_chat_template(chat_template)
    for key, value in (metadata or {}).items():
        _add(writer, key, value)
    for tensor in tensors:
        writer.add_tensor(tensor.name, _encode(tensor), raw_dtype=tensor.type)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return sorted(path.parent.glob(f"{path.stem}-*-of-*.gguf"))[0] if tensors_per_part else path


def _encode(tensor: Tensor) -> npt.NDArray[np.generic]:
    if tensor.type == GGMLQuantizationType.F64:
        return tensor.values.astype(np.float64)
    return np.asarray(quantize(tensor.values, tensor.type))


def describe(
    writer: GGUFWriter, *, shape: Shape, vocabulary: Vocabulary, weights: GGMLQuantizationType, name: str
) -> None:
    """The metadata of a llama model: sizes, then the tokenizer."""
    if name:
        writer.add_name(name)
    writer.add_file_type(FILE_TYPES.get(weights, LlamaFileType.GUESSED))
    writer.add_block_count(shape.layers)
    writer.add_context_length(shape.context_tokens)
    writer.add_embedding_length(shape.embedding_length)
    writer.add_feed_forward_length(shape.feed_forward_length)
    writer.add_head_count(shape.heads)
    writer.add_head_count_kv(shape.kv_heads)
    writer.add_key_length(shape.head_length)
    writer.add_value_length(shape.head_length)
    writer.add_rope_dimension_count(shape.head_length)
    writer.add_layer_norm_rms_eps(1e-5)
    writer.add_vocab_size(len(vocabulary))
    _describe_tokenizer(writer, vocabulary)


def _describe_tokenizer(writer: GGUFWriter, vocabulary: Vocabulary) -> None:
    writer.add_tokenizer_model(vocabulary.model)
    if vocabulary.model == "gpt2":
        writer.add_tokenizer_pre("gpt-2")
        writer.add_token_merges(vocabulary.merges)
    else:
        writer.add_token_scores(vocabulary.scores)
    writer.add_token_list(vocabulary.texts)
    writer.add_token_types(vocabulary.types)
    writer.add_bos_token_id(BOS)
    writer.add_eos_token_id(EOS)
    writer.add_unk_token_id(UNKNOWN)


def _add(writer: GGUFWriter, key: str, value: Scalar) -> None:
    match value:
        case bool():
            writer.add_bool(key, value)
        case int():
            writer.add_uint32(key, value)
        case float():
            writer.add_float32(key, value)
        case str():
            writer.add_string(key, value)
