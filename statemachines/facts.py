"""What a model file says of itself, what a load wants, and what a load got.

Read by the runner (the file may be hostile), carried over the wire, used by the core as plain numbers. Nothing here
does any work.
"""

from enum import StrEnum
from typing import Annotated

import msgspec


class LayerKind(StrEnum):
    """How much of the past a layer keeps, and so what its KV cache costs."""

    FULL = "full"
    SLIDING = "sliding"
    CROSS = "cross"
    RECURRENT = "recurrent"


class LayerSizes(msgspec.Struct, frozen=True):
    """One layer's share of a model.

    Attributes:
        weight_bytes: tensors of this layer in the file [bytes].
        repack_bytes: the part of them of which a CPU keeps a second, rearranged copy [bytes].
        kv_elements_per_token: K plus V elements that one token adds [count]; 0 for layers without a KV cache.
        state_elements: elements that one sequence holds whatever its length [count] (recurrent layers).
        window_tokens: how many tokens a sliding layer keeps [tokens]; 0 for all.
    """

    kind: LayerKind
    weight_bytes: int
    repack_bytes: int
    kv_elements_per_token: int
    state_elements: int = 0
    window_tokens: int = 0


class ModelSizes(msgspec.Struct, frozen=True):
    """The numbers from which memory is planned (`statemachines.memory`).

    Attributes:
        file_bytes: all parts of the file together [bytes].
        shared_weight_bytes: tensors that belong to no layer: embeddings, output, norms [bytes].
        shared_repack_bytes: the part of them that a CPU repacks [bytes].
        layers: one entry per block, in order.
        context_tokens_max: the context the model was trained for [tokens].
        embedding_length, feed_forward_length, head_count, vocab_size: widths that size the compute buffers [count].
        attention_length: all query heads of a layer together, where that is wider than the embedding [count].
    """

    file_bytes: int
    shared_weight_bytes: int
    shared_repack_bytes: int
    layers: tuple[LayerSizes, ...]
    context_tokens_max: int
    embedding_length: int
    feed_forward_length: int
    head_count: int
    vocab_size: int
    attention_length: int = 0


class TensorFacts(msgspec.Struct, frozen=True):
    """One row of the tensor table, as `/api/show` prints it. ``shape`` is in file order (fastest first)."""

    name: str
    type: str
    shape: tuple[int, ...]


Scalar = str | int | float | bool
MetadataValue = Scalar | list[Scalar] | None
"""A GGUF value; None stands for an array that was skipped."""


class ModelFacts(msgspec.Struct, frozen=True):
    """Everything the service wants to know of a model file without loading it.

    Attributes:
        format: always ``gguf`` so far.
        architecture: ``general.architecture``.
        name: ``general.name`` or an empty string.
        parameter_count: elements of all tensors [count].
        quantization: the label of the file type, such as ``Q4_0`` or ``F32``; ``unknown`` when it has none.
        capabilities: of completion, tools, insert, vision, embedding, thinking, image, audio.
        chat_template: the Jinja source, or None.
        metadata: every key of the file; arrays are None unless asked for.
        parts: files that make up the model [count].
    """

    format: str
    architecture: str
    name: str
    parameter_count: int
    quantization: str
    capabilities: tuple[str, ...]
    chat_template: str | None
    sizes: ModelSizes
    metadata: dict[str, MetadataValue]
    tensors: tuple[TensorFacts, ...]
    parts: int


class FileIdentity(msgspec.Struct, frozen=True, order=True):
    """Which bytes a path meant at one moment: replaced or rewritten files differ in at least one of these."""

    device: int
    inode: int
    size_bytes: int
    modified_ns: int


class LoadKey(msgspec.Struct, frozen=True, order=True):
    """What makes two loads the same: the weights, adapters and projector, never a model's name.

    Attributes:
        weights: ``sha256:<hex>`` when the digest is known, else ``file:<device>:<inode>:<size>:<mtime>``.
    """

    weights: str
    adapters: tuple[str, ...] = ()
    projector: str | None = None

    def __str__(self) -> str:
        return "+".join((self.weights, *self.adapters, *filter(None, (self.projector,))))


class LoadKind(StrEnum):
    """What a context is made for; one context cannot do both."""

    COMPLETION = "completion"
    EMBEDDING = "embedding"


class LoadOptions(msgspec.Struct, frozen=True):
    """What a request wants of a load, after defaults and clamping (design: rule 13).

    ``None`` (and ``context_is_automatic``) means automatic, which equals anything that is already loaded.

    Attributes:
        context_tokens: context window of one slot [tokens], clamped to what the model was trained for.
        context_is_automatic: nobody asked for this context, a default chose it.
        slots: parallel sequences [count].
        cache_type: element type of the KV cache.
        gpu_layers: layers to put on accelerators [count]; None lets placement choose.
        main_gpu: the accelerator asked for; None lets placement choose.
    """

    context_tokens: int
    context_is_automatic: bool = True
    slots: int = 1
    kind: LoadKind = LoadKind.COMPLETION
    shift: bool = False
    cache_type: str = "f16"
    gpu_layers: int | None = None
    main_gpu: int | None = None


SLOTS_MAX = 1024
"""More sequences than any engine serves in one context; whoever says more is not to be believed."""


class LoadedFacts(msgspec.Struct, frozen=True):
    """What a runner really holds once it is READY; the other side of `statemachines.covers`."""

    context_tokens: int
    slots: Annotated[int, msgspec.Meta(ge=1, le=SLOTS_MAX)]
    kind: LoadKind = LoadKind.COMPLETION
    shift: bool = False
    cache_type: str = "f16"
    gpu_layers: int = 0
    main_gpu: int | None = None


class DeviceBytes(msgspec.Struct, frozen=True):
    """What the engine allocated on one device [bytes].

    ``mapped`` is the model file mapped read-only: it lies in the page cache, which the operating system still counts
    as available; everything else is the process's own.
    """

    device: str
    mapped_bytes: int = 0
    weight_bytes: int = 0
    kv_bytes: int = 0
    compute_bytes: int = 0
    output_bytes: int = 0

    @property
    def own_bytes(self) -> int:
        """Bytes that are gone when the process is gone [bytes]."""
        return self.weight_bytes + self.kv_bytes + self.compute_bytes + self.output_bytes


class AllocationReport(msgspec.Struct, frozen=True):
    """What a load really took, parsed from the engine's log; empty when it could not be read (then: the formula)."""

    devices: tuple[DeviceBytes, ...] = ()


class LoadFailure(StrEnum):
    """Why a runner could not load; decides whether another try can help."""

    OUT_OF_MEMORY = "out_of_memory"
    UNSUPPORTED = "unsupported"
    BAD_FILE = "bad_file"
    REPLACED = "replaced"
    ENGINE = "engine"
