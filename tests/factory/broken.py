"""Files that look like models and are not: one that crashes the engine, cut ones, one too large for any machine."""

from dataclasses import replace
from pathlib import Path

import numpy as np
from gguf import GGMLQuantizationType, GGUFReader, GGUFWriter

from tests.factory.model_file import Shape, describe, tensor_shapes, write_model
from tests.factory.random_model import CHAT_TEMPLATE, random_tensors
from tests.factory.vocabulary import spm

GIANT = Shape(
    layers=23,
    embedding_length=8192,
    heads=64,
    kv_heads=8,
    head_length=128,
    feed_forward_length=28672,
    context_tokens=8192,
)
"""The widths of a 70B model, with layers for a little more than 36 GiB in F16."""


def crash_model(path: Path, *, name: str = "crash") -> Path:
    """A model that loads and then aborts the process at its first decode: llama.cpp cannot multiply by F16 norms.

    Nothing in its header says so; the reader of facts lets it pass.
    """
    return _with_type(path, "output_norm.weight", GGMLQuantizationType.F16, name=name)


def f64_model(path: Path, *, name: str = "double") -> Path:
    """A model with F64 embeddings, which llama.cpp loads and cannot look up: it would abort at the first decode."""
    return _with_type(path, "token_embd.weight", GGMLQuantizationType.F64, name=name)


def _with_type(path: Path, odd: str, kind: GGMLQuantizationType, *, name: str) -> Path:
    """A random F32 model, one of whose tensors has another type."""
    rng, plain = np.random.default_rng(0), GGMLQuantizationType.F32
    tensors = random_tensors(rng, Shape(), len(spm()), [], plain)
    return write_model(
        path,
        shape=Shape(),
        vocabulary=spm(),
        tensors=(replace(tensor, type=kind) if tensor.name == odd else tensor for tensor in tensors),
        weights=plain,
        chat_template=CHAT_TEMPLATE,
        name=name,
    )


def truncated(path: Path, source: Path, *, keep_bytes: int) -> Path:
    """The first `keep_bytes` of `source`; a negative number drops bytes from the end."""
    path.write_bytes(source.read_bytes()[:keep_bytes])
    return path


def header_bytes(source: Path) -> int:
    """Where the tensor data of a model begins [bytes]."""
    return int(GGUFReader(source).data_offset)


def giant_model(path: Path, *, shape: Shape = GIANT, name: str = "giant") -> Path:
    """A whole F16 model with a valid header, all holes: 36 GiB long, a few blocks on disk."""
    writer = GGUFWriter(path, "llama")
    vocabulary, weights = spm(), GGMLQuantizationType.F16
    describe(writer, shape=shape, vocabulary=vocabulary, weights=weights, name=name)
    data_bytes = 0
    for tensor, rows in tensor_shapes(shape, len(vocabulary)).items():
        dtype = np.dtype(np.float32 if len(rows) == 1 else np.float16)
        tensor_bytes = int(np.prod(rows)) * dtype.itemsize
        writer.add_tensor_info(tensor, rows, dtype, tensor_bytes)
        data_bytes += GGUFWriter.ggml_pad(tensor_bytes, writer.data_alignment)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_ti_data_to_file()
    writer.close()
    with path.open("r+b") as file:
        file.truncate(GGUFWriter.ggml_pad(path.stat().st_size, writer.data_alignment) + data_bytes)
    return path
