"""The memory formula: monotone, never overflowing, and in words that add up."""

import msgspec
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from statemachines.errors import ConfigError
from statemachines.facts import (
    AllocationReport,
    DeviceBytes,
    LayerKind,
    LayerSizes,
    LoadOptions,
    ModelSizes,
)
from statemachines.memory import (
    CACHE_BYTES,
    PROCESS_BYTES,
    HostActual,
    actual,
    host_need,
    layer_bytes,
)
from statemachines.units import MIB

LAYER = LayerSizes(kind=LayerKind.FULL, weight_bytes=1_000, repack_bytes=900, kv_elements_per_token=256)
SIZES = ModelSizes(
    file_bytes=10_000,
    shared_weight_bytes=8_000,
    shared_repack_bytes=100,
    layers=(LAYER, LAYER),
    context_tokens_max=8_192,
    embedding_length=256,
    feed_forward_length=512,
    head_count=8,
    vocab_size=1_024,
)

counts = st.integers(0, 1 << 62)
layers = st.builds(
    LayerSizes,
    kind=st.sampled_from(LayerKind),
    weight_bytes=counts,
    repack_bytes=counts,
    kv_elements_per_token=counts,
    state_elements=counts,
    window_tokens=st.one_of(st.just(0), counts),
)
models = st.builds(
    ModelSizes,
    file_bytes=counts,
    shared_weight_bytes=counts,
    shared_repack_bytes=counts,
    layers=st.lists(layers, max_size=6).map(tuple),
    context_tokens_max=st.integers(1, 1 << 31),
    embedding_length=counts,
    feed_forward_length=counts,
    head_count=counts,
    vocab_size=counts,
)
contexts = st.integers(1, 1 << 31)
slots = st.integers(1, 64)
cache_types = st.sampled_from(sorted(CACHE_BYTES))


@given(models, contexts, slots, cache_types, st.integers(0, 10_000), st.integers(0, 3))
def test_more_context_or_more_slots_never_need_less(
    sizes: ModelSizes, context: int, slot_count: int, cache_type: str, more_tokens: int, more_slots: int
) -> None:
    options = LoadOptions(context_tokens=context, slots=slot_count, cache_type=cache_type)
    less = host_need(sizes, options)
    more = host_need(
        sizes,
        msgspec.structs.replace(options, context_tokens=context + more_tokens, slots=slot_count + more_slots),
    )
    for name in ("mapped_bytes", "repack_bytes", "kv_bytes", "compute_bytes", "output_bytes", "process_bytes"):
        assert getattr(less, name) <= getattr(more, name)


@given(models, contexts, slots, cache_types)
def test_every_figure_fits_64_bits_whatever_a_file_claims(
    sizes: ModelSizes, context: int, slot_count: int, cache_type: str
) -> None:
    need = host_need(sizes, LoadOptions(context_tokens=context, slots=slot_count, cache_type=cache_type))
    assert 0 < need.total_bytes < 1 << 63


@given(models, st.data(), slots, cache_types)
def test_layers_and_the_host_sum_agree_on_the_cache(
    sizes: ModelSizes, data: st.DataObject, slot_count: int, cache_type: str
) -> None:
    context = data.draw(st.integers(1, sizes.context_tokens_max))
    by_layer = layer_bytes(sizes, context_tokens=context, slots=slot_count, cache_type=cache_type)
    need = host_need(sizes, LoadOptions(context_tokens=context, slots=slot_count, cache_type=cache_type))
    assert by_layer.weights.shape == by_layer.kv.shape == (len(sizes.layers),)
    assert by_layer.weights.dtype == by_layer.kv.dtype == np.int64
    assert int(by_layer.kv.sum()) == need.kv_bytes
    assert (by_layer.kv >= 0).all()


def test_a_full_layer_keeps_every_token_in_whole_groups_of_cells() -> None:
    for context, cells in ((1, 256), (256, 256), (257, 512), (4_096, 4_096)):
        kv = layer_bytes(SIZES, context_tokens=context, slots=1).kv
        assert kv.tolist() == [cells * 256 * 2] * 2


def test_slots_multiply_the_cache() -> None:
    one = layer_bytes(SIZES, context_tokens=1_000, slots=1).kv
    assert (layer_bytes(SIZES, context_tokens=1_000, slots=3).kv == 3 * one).all()


def test_a_sliding_layer_keeps_its_window_and_one_step() -> None:
    layer = msgspec.structs.replace(LAYER, kind=LayerKind.SLIDING, window_tokens=512)
    sizes = msgspec.structs.replace(SIZES, layers=(layer,))
    assert layer_bytes(sizes, context_tokens=4_096, slots=1).kv.tolist() == [768 * 256 * 2]
    assert layer_bytes(sizes, context_tokens=300, slots=1).kv.tolist() == [512 * 256 * 2]


def test_a_recurrent_layer_holds_its_state_whatever_the_context() -> None:
    layer = msgspec.structs.replace(LAYER, kind=LayerKind.RECURRENT, kv_elements_per_token=0, state_elements=1_000)
    sizes = msgspec.structs.replace(SIZES, layers=(layer,))
    for context in (1, 8_192):
        assert layer_bytes(sizes, context_tokens=context, slots=2).kv.tolist() == [2 * 1_000 * 4]


def test_a_cross_attention_layer_holds_the_picture_in_the_cache_type() -> None:
    layer = msgspec.structs.replace(LAYER, kind=LayerKind.CROSS, kv_elements_per_token=0, state_elements=3_200)
    sizes = msgspec.structs.replace(SIZES, layers=(layer,))
    assert layer_bytes(sizes, context_tokens=64, slots=1, cache_type="q8_0").kv.tolist() == [3_400]


def test_a_quantised_cache_is_rounded_up_to_whole_bytes() -> None:
    layer = msgspec.structs.replace(LAYER, kv_elements_per_token=1)
    sizes = msgspec.structs.replace(SIZES, layers=(layer,))
    assert layer_bytes(sizes, context_tokens=256, slots=1, cache_type="q4_0").kv.tolist() == [256]


@pytest.mark.parametrize("context", [0, -1, 8_193])
def test_a_context_that_the_model_was_not_trained_for_is_refused(context: int) -> None:
    with pytest.raises(ConfigError, match=r"1\.\.8192"):
        layer_bytes(SIZES, context_tokens=context, slots=1)


def test_impossible_slots_contexts_and_cache_types_are_refused() -> None:
    with pytest.raises(ConfigError, match="at least 1"):
        layer_bytes(SIZES, context_tokens=1, slots=0)
    with pytest.raises(ConfigError, match="at least 1"):
        host_need(SIZES, LoadOptions(context_tokens=0))
    with pytest.raises(ConfigError, match="f8"):
        host_need(SIZES, LoadOptions(context_tokens=1, cache_type="f8"))


def test_the_sum_is_its_terms() -> None:
    need = host_need(SIZES, LoadOptions(context_tokens=4_096))
    assert need.mapped_bytes == SIZES.file_bytes
    assert need.repack_bytes == 100 + 2 * 900
    assert need.kv_bytes == 2 * 4_096 * 256 * 2
    assert need.total_bytes == need.mapped_bytes + need.own_bytes
    assert need.own_bytes > need.repack_bytes + need.kv_bytes + PROCESS_BYTES


def test_the_words_name_each_term_and_the_context() -> None:
    words = host_need(SIZES, LoadOptions(context_tokens=4_096)).words()
    assert words == (
        "weights 9.8 KiB + repacked weights 1.9 KiB + KV cache 4.0 MiB (4096 tokens x 1 slot)"
        " + compute buffers 11.7 MiB + process 64.5 MiB"
    )


def test_terms_of_nothing_are_left_out_and_slots_are_counted() -> None:
    layer = msgspec.structs.replace(LAYER, repack_bytes=0)
    sizes = msgspec.structs.replace(SIZES, layers=(layer,), shared_repack_bytes=0)
    words = host_need(sizes, LoadOptions(context_tokens=4_096, slots=2)).words()
    assert "repacked" not in words
    assert "(4096 tokens x 2 slots)" in words


# What the pinned engine logged for 64-token steps without flash attention (heads, context, embedding, feed-forward).
MEASURED_COMPUTE = [
    (8, 4_096, 256, 512, 9.38),
    (8, 256, 256, 512, 0.94),
    (8, 16_384, 256, 512, 36.38),
    (16, 4_096, 256, 512, 17.34),
    (8, 4_096, 1_024, 512, 10.50),
    (8, 256, 256, 8_192, 6.31),
    (32, 4_096, 4_096, 11_008, 40.00),
    (8, 4_096, 2_048, 512, 10.69),
    (8, 256, 1_024, 8 * 1_024, 4.31),
]


@pytest.mark.parametrize(("heads", "context", "embedding", "feed_forward", "mebibytes"), MEASURED_COMPUTE)
def test_the_compute_buffer_is_not_less_than_the_engine_measured(
    heads: int, context: int, embedding: int, feed_forward: int, mebibytes: float
) -> None:
    sizes = msgspec.structs.replace(
        SIZES, head_count=heads, attention_length=embedding, feed_forward_length=feed_forward
    )
    need = host_need(sizes, LoadOptions(context_tokens=context))
    assert mebibytes * MIB <= need.compute_bytes <= 1.6 * mebibytes * MIB + 3 * MIB


def test_buffers_of_the_cpu_are_the_hosts() -> None:
    report = AllocationReport(
        (
            DeviceBytes("host", mapped_bytes=5, weight_bytes=4, kv_bytes=3, compute_bytes=2, output_bytes=1),
            DeviceBytes("CPU_Mapped", mapped_bytes=100),
            DeviceBytes("CPU_REPACK", weight_bytes=10),
            DeviceBytes("CUDA0", weight_bytes=1_000),
        )
    )
    assert actual(report, most_bytes=125) == HostActual(mapped_bytes=105, own_bytes=20 + PROCESS_BYTES)


@pytest.mark.parametrize(
    "device",
    [
        DeviceBytes("host", mapped_bytes=126),
        DeviceBytes("host", mapped_bytes=100, weight_bytes=26),
        DeviceBytes("host", mapped_bytes=-1),
        DeviceBytes("host", weight_bytes=-(1 << 60)),
    ],
)
def test_a_report_of_what_cannot_be_leaves_the_formula_in_force(device: DeviceBytes) -> None:
    assert actual(AllocationReport((device,)), most_bytes=125) is None


def test_a_report_without_the_host_leaves_the_formula_in_force() -> None:
    assert actual(AllocationReport(), most_bytes=1) is None
    assert actual(AllocationReport((DeviceBytes("CUDA0", weight_bytes=1),)), most_bytes=1) is None
