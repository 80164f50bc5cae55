"""From metadata and tensor table to the numbers that memory is planned with.

What a layer keeps is told by its tensors first (a layer with ``ssm_*`` tensors is recurrent whatever the metadata
says), then by the metadata. Where a file does not say that a layer keeps less than everything, it keeps everything.
"""

import re
from collections.abc import Sequence

import msgspec

from runner.facts.errors import bad_file
from runner.facts.header import Tensor
from runner.facts.keys import Keys
from runner.facts.limits import LAYERS_MAX
from runner.facts.repack import OUTPUT, repack_bytes
from statemachines.facts import LayerKind, LayerSizes, ModelSizes

BLOCK = re.compile(r"(?:enc\.|dec\.)?blk\.(\d{1,4})\.(\w+)")
"""A layer's tensor; encoder and decoder blocks of one number count as one layer."""

SLIDING_PERIODS = {"cohere2": 4, "gemma2": 2, "gemma3": 6, "gemma3n": 5, "gpt-oss": 2}
"""Architectures whose files do not say which layers slide: every n-th one is full, the others slide."""

DEFAULT_TOKEN_SHIFTS = 2
"""Of RWKV models that do not state it."""
DEFAULT_KDA_TAPS = 4
"""Of the convolutions of delta attention, in models that do not state it."""


ATTENDING = frozenset({"attn_q", "attn_k", "attn_qkv"})
"""A layer with one of these needs heads."""

ELEMENTS_MAX = 1 << 48
"""What a layer keeps for one token, or for one sequence, at most; far beyond any memory."""


class KvWidths(msgspec.Struct, frozen=True):
    """What attention keeps for one token.

    Attributes:
        query_heads, heads: query heads and KV heads of each layer [count].
        full, sliding: K plus V elements of one head [count].
        extra: elements per layer beside the heads (an indexer's keys) [count].
    """

    query_heads: tuple[int, ...]
    heads: tuple[int, ...]
    full: int
    sliding: int
    extra: int


def model_sizes(keys: Keys, tensors: Sequence[Tensor], file_bytes: int) -> ModelSizes:
    """The plan's numbers of one model.

    Raises:
        BadModelFile: a needed value is missing, or has the wrong type or range.
    """
    count = _layer_count(keys)
    shared, blocks = _by_layer(tensors, count)
    output_is_shared = not any(tensor.name == OUTPUT for tensor in shared)
    return ModelSizes(
        file_bytes=file_bytes,
        shared_weight_bytes=sum(tensor.size_bytes for tensor in shared),
        shared_repack_bytes=repack_bytes(shared, output_is_shared=output_is_shared),
        layers=_layers(keys, blocks),
        context_tokens_max=_needed(keys, "context_length"),
        embedding_length=_needed(keys, "embedding_length"),
        feed_forward_length=_feed_forward_length(keys),
        head_count=keys.count("attention.head_count"),
        vocab_size=_vocab_size(keys, shared),
        attention_length=_query_length(keys),
    )


def _needed(keys: Keys, name: str) -> int:
    value = keys.count(name)
    if not value:
        raise bad_file(f"it does not state its {name.replace('_', ' ')}")
    return value


def _layer_count(keys: Keys) -> int:
    count = max(_needed(keys, "block_count"), keys.count("decoder_block_count"))
    if count > LAYERS_MAX:
        raise bad_file("it claims more layers than any model has")
    return count


def _by_layer(tensors: Sequence[Tensor], count: int) -> tuple[list[Tensor], list[list[Tensor]]]:
    """The tensors of no layer, and those of each; a block beyond the count is of no layer."""
    shared: list[Tensor] = []
    blocks: list[list[Tensor]] = [[] for _ in range(count)]
    for tensor in tensors:
        match = BLOCK.match(tensor.name)
        index = int(match[1]) if match else count
        (blocks[index] if index < count else shared).append(tensor)
    return shared, blocks


def _layers(keys: Keys, blocks: list[list[Tensor]]) -> tuple[LayerSizes, ...]:
    widths = _kv_widths(keys, len(blocks))
    window = keys.count("attention.sliding_window")
    slides = _sliding(keys, len(blocks)) if window else (False,) * len(blocks)
    crosses = _crossing(keys)
    return tuple(
        _layer(keys, block, widths, index, window_tokens=window if slides[index] else 0, is_cross=index in crosses)
        for index, block in enumerate(blocks)
    )


def _layer(
    keys: Keys, block: list[Tensor], widths: KvWidths, index: int, *, window_tokens: int, is_cross: bool
) -> LayerSizes:
    """One layer's kind and costs.

    (1) A recurrent layer holds its state; it has a KV cache only where it has keys as well (two paths side by side).
    (2) A cross-attention layer keeps keys and values of the picture, whatever the length of the text.
    (3) A sliding layer keeps a window, (4) any other one everything.
    """
    names = {match[2] for tensor in block if (match := BLOCK.match(tensor.name))}
    if names & ATTENDING and not widths.query_heads[index]:
        raise bad_file("a layer in it attends without heads")
    if _is_recurrent(names) and not _state_elements(keys, names):
        raise bad_file("a recurrent layer in it does not state the size of what it keeps")
    per_token = widths.heads[index] * (widths.sliding if window_tokens else widths.full) + widths.extra
    state = _state_elements(keys, names)
    kind = LayerKind.SLIDING if window_tokens else LayerKind.FULL  # (3) (4)
    if state:  # (1)
        kind = LayerKind.RECURRENT
        per_token = per_token if "attn_k" in names else 0
    elif is_cross:  # (2)
        kind, state, per_token = LayerKind.CROSS, per_token * _picture_tokens(keys), 0
    if max(per_token, state) > ELEMENTS_MAX:
        raise bad_file("a layer in it keeps more than any memory holds")
    return LayerSizes(
        kind=kind,
        weight_bytes=sum(tensor.size_bytes for tensor in block),
        repack_bytes=repack_bytes(block, output_is_shared=False),
        kv_elements_per_token=per_token,
        state_elements=state,
        window_tokens=window_tokens,
    )


def _kv_widths(keys: Keys, count: int) -> KvWidths:
    """KV heads default to the query heads, their length to an equal share of the embedding."""
    heads = keys.per_layer("attention.head_count", count)
    shares = [head for head in heads if head]
    share = keys.count("embedding_length") // min(shares) if shares else 0
    key = keys.count("attention.key_length", share)
    value = keys.count("attention.value_length", share)
    return KvWidths(
        query_heads=heads,
        heads=keys.per_layer("attention.head_count_kv", count) if keys.has("attention.head_count_kv") else heads,
        full=key + value,
        sliding=keys.count("attention.key_length_swa", key) + keys.count("attention.value_length_swa", value),
        extra=keys.count("attention.indexer.key_length"),
    )


def _sliding(keys: Keys, count: int) -> tuple[bool, ...]:
    """Which layers slide: by a list, by a period in the file, by the architecture's period; else none."""
    name = "attention.sliding_window_pattern"
    if keys.is_list(name):
        return tuple(map(bool, keys.per_layer(name, count)))
    period = keys.count(name, SLIDING_PERIODS.get(keys.architecture, 0))
    return tuple(period > 0 and index % period < period - 1 for index in range(count))


def _crossing(keys: Keys) -> frozenset[int]:
    """Numbers of the layers that attend to a picture."""
    name = "attention.cross_attention_layers"
    return frozenset(keys.counts(name)) if keys.is_list(name) else frozenset()


def _picture_tokens(keys: Keys) -> int:
    """Positions that a picture takes: one for each patch and one more, for each tile."""
    patches = keys.count("vision.image_size") // max(1, keys.count("vision.patch_size"))
    return (patches * patches + 1) * max(1, keys.count("vision.max_num_tiles"))


def _state_elements(keys: Keys, names: set[str]) -> int:
    """Elements that one sequence's state takes in a layer with these tensors; 0 for attention layers."""
    embedding = keys.count("embedding_length")
    if any(name.startswith("ssm_") for name in names):
        if keys.has("kda.head_dim"):
            return _delta_attention_elements(keys)
        inner, state = keys.count("ssm.inner_size"), keys.count("ssm.state_size")
        taps = max(0, keys.count("ssm.conv_kernel") - 1)
        return taps * (inner + 2 * keys.count("ssm.group_count") * state) + state * inner
    if any(name.startswith("shortconv") for name in names):
        return embedding * max(0, keys.count("shortconv.l_cache") - 1)
    if any(name.startswith("time_mix") for name in names):
        return embedding * (keys.count("token_shift_count", DEFAULT_TOKEN_SHIFTS) + keys.count("wkv.head_size"))
    return 0


def _is_recurrent(names: set[str]) -> bool:
    return any(name.startswith(("ssm_", "shortconv", "time_mix")) for name in names)


def _delta_attention_elements(keys: Keys) -> int:
    """Kimi's delta attention: a square for each head, and convolutions of queries, keys and values."""
    heads, length = keys.count("attention.head_count"), keys.count("kda.head_dim")
    taps = (keys.count("ssm.conv_kernel") or DEFAULT_KDA_TAPS) - 1
    return 3 * taps * heads * length + heads * length * length


def _query_length(keys: Keys) -> int:
    """All query heads together; wider than the embedding in some models."""
    return keys.count("attention.head_count") * keys.count("attention.key_length")


def _feed_forward_length(keys: Keys) -> int:
    """The widest a token gets between two layers: dense, or all experts that one token uses, in and out."""
    dense = keys.count("feed_forward_length")
    expert = max(keys.count("expert_feed_forward_length", dense), keys.count("embedding_length"))
    shared = keys.count("expert_shared_feed_forward_length")
    return max(dense, keys.count("expert_used_count") * expert + shared)


def _vocab_size(keys: Keys, shared: list[Tensor]) -> int:
    rows = [tensor.shape[1] for tensor in shared if tensor.name in (OUTPUT, "token_embd.weight") and tensor.shape[1:]]
    return max(keys.count("vocab_size"), keys.array_length("tokenizer.ggml.tokens"), *rows, 0)
