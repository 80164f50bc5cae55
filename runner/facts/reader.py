"""A model file, or all parts of one, as `ModelFacts`: the reader's front door (docs/design/facts.md)."""

from collections.abc import Sequence
from typing import cast

from runner.facts.capabilities import capabilities
from runner.facts.errors import bad_file
from runner.facts.ggml_types import FILE_TYPES, INDEX_TENSOR, NOT_COMPUTED
from runner.facts.header import Header, Tensor
from runner.facts.keys import Keys
from runner.facts.layers import model_sizes
from runner.facts.parts import read_parts
from runner.facts.values import Array
from statemachines.facts import MetadataValue, ModelFacts, TensorFacts

TEMPLATE_KEY = "tokenizer.chat_template"
UNKNOWN_FILE_TYPE = "unknown"


def read_facts(paths: Sequence[str], *, with_arrays: bool = False) -> ModelFacts:
    """What a model says of itself, checked; bounded in time and memory whatever the files hold.

    Args:
        paths: the file, or all parts of a split one in order.
        with_arrays: also return the values of arrays, each packed as the list that whoever unpacks the facts gets.
    Raises:
        BadModelFile: the file is no model that can be served; the message says why, without its path.
    """
    headers = read_parts(paths, with_arrays=with_arrays)
    keys = Keys(headers[0].values)
    _refuse_companions(keys)
    tensors = [tensor for header in headers for tensor in header.tensors]
    _check_weights(tensors)
    template = keys.text(TEMPLATE_KEY) or None
    return ModelFacts(
        format="gguf",
        architecture=keys.architecture,
        name=keys.text("general.name"),
        parameter_count=sum(tensor.element_count for tensor in tensors),
        quantization=_quantization(keys),
        capabilities=capabilities(keys, template),
        chat_template=template,
        sizes=model_sizes(keys, tensors, sum(header.size_bytes for header in headers)),
        metadata=_metadata(headers[0]),
        tensors=tuple(map(_tensor_facts, tensors)),
        parts=len(headers),
    )


def _refuse_companions(keys: Keys) -> None:
    """Files that belong beside a model are named as what they are."""
    if keys.architecture == "clip":
        raise bad_file("it is a projector (it belongs beside a model), not a language model")
    if keys.text("general.type") == "adapter":
        raise bad_file("it is an adapter (it belongs beside a model), not a language model")


def _check_weights(tensors: Sequence[Tensor]) -> None:
    """There are some, and the engine can compute with each."""
    if not tensors:
        raise bad_file("it holds no weights")
    for tensor in tensors:
        if tensor.type.name in NOT_COMPUTED and not (tensor.type.name == "I32" and INDEX_TENSOR in tensor.name):
            raise bad_file(f"a tensor in it is of type {tensor.type.name}, with which the engine cannot compute")


def _quantization(keys: Keys) -> str:
    if "general.file_type" not in keys.values:
        return UNKNOWN_FILE_TYPE
    return FILE_TYPES.get(keys.number("general.file_type"), UNKNOWN_FILE_TYPE)


def _metadata(header: Header) -> dict[str, MetadataValue]:
    """The values as they travel. A packed list is one to everybody but this process, which only passes it on."""
    return {
        key: cast("MetadataValue", value.packed) if isinstance(value, Array) else value
        for key, value in header.values.items()
    }


def _tensor_facts(tensor: Tensor) -> TensorFacts:
    return TensorFacts(tensor.name, tensor.type.name, tensor.shape)
