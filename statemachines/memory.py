"""How many bytes a load will hold, from the model file's own numbers: by layer, and in host memory altogether.

The formula must never say too little (that becomes an out-of-memory in the middle of a load) and should not say much
too much (that refuses what would fit). Every term is what the pinned engine allocates, rounded up where it depends on
something that the file does not say; docs/decisions/0009-host-memory-formula.md compares it with the engine's own
figures. Integers everywhere; each layer's figure saturates, so that sums stay within 64 bits whatever a file claims.
"""

from fractions import Fraction

import msgspec
import numpy as np
import numpy.typing as npt

from statemachines.errors import ConfigError
from statemachines.facts import AllocationReport, DeviceBytes, LayerKind, LayerSizes, LoadOptions, ModelSizes
from statemachines.units import HOST, MIB, format_bytes

CHUNK_TOKENS = 64
"""Tokens of one engine step at most (the engine's ``n_ubatch``): short steps keep a runner responsive."""

CELL_GROUP = 256
"""The engine rounds the cells of a KV cache up to a multiple of this."""

CACHE_BYTES: dict[str, Fraction] = {
    "f32": Fraction(4),
    "f16": Fraction(2),
    "bf16": Fraction(2),
    "q8_0": Fraction(34, 32),
    "q5_1": Fraction(24, 32),
    "q5_0": Fraction(22, 32),
    "q4_1": Fraction(20, 32),
    "q4_0": Fraction(18, 32),
    "iq4_nl": Fraction(18, 32),
}
"""Bytes of one element of the KV cache, by its type."""

FLOAT_BYTES = 4
"""Activations, logits and recurrent states are 32-bit floats."""

PROCESS_BYTES = 64 * MIB
"""A runner process without a model: interpreter, engine, graphs, thread stacks. Measured: 28 MiB."""

VOCABULARY_ENTRY_BYTES = 512
"""One token in the engine's tables, with its merges and its place in sampling. Measured: 430 bytes."""

LAYER_BYTES_MAX = 1 << 50
"""Where one layer's figure saturates: no memory holds it, and a thousand of them still fit 64 bits."""


class LayerBytes(msgspec.Struct, frozen=True):
    """Bytes of each layer on whichever device takes it.

    Shapes:
        weights, kv: (num_layers,) int64 [bytes].
    """

    weights: npt.NDArray[np.int64]
    kv: npt.NDArray[np.int64]


class HostNeed(msgspec.Struct, frozen=True):
    """What a load will hold in host memory, term by term [bytes].

    Attributes:
        mapped_bytes: the model file, mapped read-only.
        repack_bytes: second, rearranged copies of weights.
        kv_bytes: KV cache and recurrent states of all slots.
        compute_bytes: what one engine step needs.
        output_bytes: logits of one token for each slot.
        process_bytes: the process itself and the vocabulary.
        context_tokens, slots: for how much it was reckoned.
    """

    mapped_bytes: int
    repack_bytes: int
    kv_bytes: int
    compute_bytes: int
    output_bytes: int
    process_bytes: int
    context_tokens: int
    slots: int

    @property
    def own_bytes(self) -> int:
        """Bytes that are gone when the process is gone [bytes]."""
        return self.repack_bytes + self.kv_bytes + self.compute_bytes + self.output_bytes + self.process_bytes

    @property
    def total_bytes(self) -> int:
        """Everything, the mapped file included [bytes]."""
        return self.mapped_bytes + self.own_bytes

    def words(self) -> str:
        """The sum as a person reads it, for refusals and for `/debug`."""
        slots = f"{self.slots} slot" if self.slots == 1 else f"{self.slots} slots"
        terms = (
            ("weights", self.mapped_bytes, ""),
            ("repacked weights", self.repack_bytes, ""),
            ("KV cache", self.kv_bytes, f" ({self.context_tokens} tokens x {slots})"),
            ("compute buffers", self.compute_bytes + self.output_bytes, ""),
            ("process", self.process_bytes, ""),
        )
        return " + ".join(f"{name} {format_bytes(count)}{note}" for name, count, note in terms if count)


class HostActual(msgspec.Struct, frozen=True):
    """What a load really holds in host memory [bytes]."""

    mapped_bytes: int
    own_bytes: int


def layer_bytes(sizes: ModelSizes, *, context_tokens: int, slots: int, cache_type: str = "f16") -> LayerBytes:
    """Bytes that each layer will hold on whichever device takes it, while READY.

    Why: placement must never over-commit; a low figure becomes an out-of-memory during load.

    Args:
        context_tokens: context window of one slot [tokens], 1..sizes.context_tokens_max.
        slots: parallel sequences [count], >= 1.
    Shapes:
        weights, kv: (num_layers,) int64 [bytes].
    Raises:
        ConfigError: the context exceeds what the model was trained for, or a figure is not possible at all.
    Invariant: monotone in context_tokens and in slots.
    Source: docs/decisions/0009-host-memory-formula.md; GGUF tensor table; llama.cpp KV layout.
    """
    if not 1 <= context_tokens <= sizes.context_tokens_max:
        raise ConfigError(f"a context of {context_tokens} tokens is not within 1..{sizes.context_tokens_max}")
    weights = [min(layer.weight_bytes, LAYER_BYTES_MAX) for layer in sizes.layers]
    kv = _kv_bytes(sizes, context_tokens=context_tokens, slots=slots, cache_type=cache_type)
    return LayerBytes(np.array(weights, dtype=np.int64), np.array(kv, dtype=np.int64))


def host_need(sizes: ModelSizes, options: LoadOptions) -> HostNeed:
    """Bytes that a load of these options will hold when the host's memory is its only device.

    Unlike `layer_bytes` it takes any context from 1 on: what is asked for is judged by whether it fits.

    Raises:
        ConfigError: a slot count below 1, a context below 1, or an unknown cache type.
    Invariant: monotone in the context and in the slots.
    """
    context, slots = options.context_tokens, options.slots
    kv = _kv_bytes(sizes, context_tokens=context, slots=slots, cache_type=options.cache_type)
    repack = sizes.shared_repack_bytes + sum(layer.repack_bytes for layer in sizes.layers)
    return HostNeed(
        mapped_bytes=_bounded(sizes.file_bytes),
        repack_bytes=_bounded(repack),
        kv_bytes=sum(kv),
        compute_bytes=_bounded(_compute_bytes(sizes, context_tokens=context, slots=slots)),
        output_bytes=_bounded(FLOAT_BYTES * slots * (sizes.vocab_size + sizes.embedding_length)),
        process_bytes=_bounded(PROCESS_BYTES + VOCABULARY_ENTRY_BYTES * sizes.vocab_size),
        context_tokens=context,
        slots=slots,
    )


def actual(report: AllocationReport, *, most_bytes: int) -> HostActual | None:
    """What the engine says it allocated on the host, and the process around it.

    None when the report says nothing, or what cannot be: it comes from a process that a model file may have taken over,
    and a lie must not cost the others their memory.

    Every ``CPU`` buffer is the host's: ``CPU_Mapped`` is the mapped file, ``CPU_REPACK`` the second copies.
    """
    devices = [device for device in report.devices if _is_host(device)]
    mapped_bytes = sum(device.mapped_bytes for device in devices)
    allocated_bytes = sum(device.own_bytes for device in devices)
    is_possible = mapped_bytes >= 0 and allocated_bytes >= 0 and mapped_bytes + allocated_bytes <= most_bytes
    return HostActual(mapped_bytes, allocated_bytes + PROCESS_BYTES) if devices and is_possible else None


def _is_host(device: DeviceBytes) -> bool:
    return device.device == HOST or device.device.startswith("CPU")


def _bounded(count: int) -> int:
    return min(count, LAYER_BYTES_MAX)


def _kv_bytes(sizes: ModelSizes, *, context_tokens: int, slots: int, cache_type: str) -> list[int]:
    if slots < 1 or context_tokens < 1:
        raise ConfigError(f"{slots} slots of {context_tokens} tokens are not possible; both are at least 1")
    element = CACHE_BYTES.get(cache_type)
    if element is None:
        raise ConfigError(f"cache type {cache_type!r} is unknown; possible are {', '.join(CACHE_BYTES)}")
    return [_layer_kv_bytes(layer, context_tokens, slots, element) for layer in sizes.layers]


def _layer_kv_bytes(layer: LayerSizes, context_tokens: int, slots: int, element: Fraction) -> int:
    """One layer's cache: a row for each cell of each slot, and a state for each slot."""
    row_bytes = _rounded_up(layer.kv_elements_per_token * element)
    state = Fraction(FLOAT_BYTES) if layer.kind is LayerKind.RECURRENT else element
    state_bytes = _rounded_up(layer.state_elements * state)
    return _bounded(slots * (_cells(layer, context_tokens) * row_bytes + state_bytes))


def _cells(layer: LayerSizes, context_tokens: int) -> int:
    """Tokens that a layer keeps, with room for the step that is being computed where it keeps a window."""
    cells = _grouped(context_tokens)
    return min(cells, _grouped(layer.window_tokens + CHUNK_TOKENS)) if layer.window_tokens else cells


def _grouped(count: int) -> int:
    return -(-count // CELL_GROUP) * CELL_GROUP


def _rounded_up(count: Fraction) -> int:
    return -(-count.numerator // count.denominator)


def _compute_bytes(sizes: ModelSizes, *, context_tokens: int, slots: int) -> int:
    """The largest set of activations that live at once in one step.

    The masks, one for each kind of attention, live through the whole step. Beside them a step passes three places,
    and the engine reuses one buffer for them: attention (scores of every head over every cell, and the token's
    vectors), the feed-forward part (gate, up and their product), and the logits of one token for each slot. The
    multiples of the vectors cover what was measured over a range of shapes; the eighth and the mebibyte on top are
    for architectures that were not.
    """
    cells = _grouped(context_tokens)
    masks = 2 if any(layer.window_tokens for layer in sizes.layers) else 1
    vector = max(sizes.embedding_length, sizes.attention_length)
    attention = sizes.head_count * cells + 8 * vector
    feed_forward = 3 * sizes.feed_forward_length + 6 * vector
    step = FLOAT_BYTES * CHUNK_TOKENS * (masks * cells + max(attention, feed_forward))
    logits = FLOAT_BYTES * slots * sizes.vocab_size
    return (step + logits) * 9 // 8 + MIB
