"""Random llama models: real arithmetic, meaningless text, always the same for the same seed."""

from collections.abc import Iterator, Mapping
from pathlib import Path

import numpy as np
from gguf import GGMLQuantizationType

from tests.factory.model_file import Floats, Scalar, Shape, Tensor, tensor_shapes, write_model
from tests.factory.vocabulary import EOS, Vocabulary, spm

CHAT_TEMPLATE = (
    "{%- for message in messages %}{{ message['role'] }}: {{ message['content'] }}\n{% endfor %}"
    "{%- if add_generation_prompt %}assistant:{% endif %}"
)
LOGIT_SPREAD = np.float32(4)
"""Standard deviation of the logits: wide enough that the best token rarely has a rival close by."""


def random_model(
    path: Path,
    *,
    seed: int = 0,
    shape: Shape | None = None,
    weights: GGMLQuantizationType = GGMLQuantizationType.F32,
    vocabulary: Vocabulary | None = None,
    chat_template: str | None = CHAT_TEMPLATE,
    ends: bool = False,
    legible: bool = True,
    name: str = "random",
    metadata: Mapping[str, Scalar] | None = None,
    tensors_per_part: int = 0,
) -> Path:
    """Writes a model whose every weight comes from `seed`; returns the path (of the first part, if split).

    Args:
        weights: F32, F16, Q4_0 or Q8_0, for every matrix; norms are always F32.
        ends: whether the model may choose the end token; otherwise it talks until it is stopped.
        legible: it never chooses special or byte tokens, so that its text is valid UTF-8.
        tensors_per_part: more than 0 splits the file.
    """
    shape, vocabulary = shape or Shape(), vocabulary or spm()
    silent = [token for token in vocabulary.silent() if legible and not (ends and token == EOS)]
    if not ends:
        silent.append(EOS)
    return write_model(
        path,
        shape=shape,
        vocabulary=vocabulary,
        tensors=random_tensors(np.random.default_rng(seed), shape, len(vocabulary), silent, weights),
        weights=weights,
        chat_template=chat_template,
        name=name,
        metadata=metadata,
        tensors_per_part=tensors_per_part,
    )


def random_tensors(
    rng: np.random.Generator, shape: Shape, vocab_size: int, silent: list[int], weights: GGMLQuantizationType
) -> Iterator[Tensor]:
    """The tensors of a random model, drawn in the order of the file; `silent` tokens never win."""
    for name, rows in tensor_shapes(shape, vocab_size).items():
        if len(rows) == 1:
            yield Tensor(name, np.ones(rows, np.float32), GGMLQuantizationType.F32)
            continue
        values = _matrix(rng, name, rows)
        if name == "output.weight":
            values[silent] = 0
        yield Tensor(name, values, weights)


def _matrix(rng: np.random.Generator, name: str, rows: tuple[int, ...]) -> Floats:
    """Gain one per matrix, so that activations keep their size through any number of layers."""
    values: Floats = rng.standard_normal(rows, dtype=np.float32)
    if name == "token_embd.weight":
        return values
    gain = LOGIT_SPREAD if name == "output.weight" else np.float32(1)
    # numpy makes float64 of float32 times a float64 scalar, and a float64 tensor aborts llama.cpp.
    scaled: Floats = (values * gain / np.sqrt(np.float32(rows[1]))).astype(np.float32)
    return scaled
