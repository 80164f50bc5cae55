"""What layers keep: full, sliding, cross-attention and recurrent ones, from metadata and tensors."""

from pathlib import Path

import pytest

from runner.facts import limits
from statemachines.facts import LayerKind, LayerSizes, ModelSizes
from tests.factory.raw import Key, Kind, RawFile, TensorRow, array, number, text, texts, valid
from tests.runner.facts.files import read, refused

FULL, SLIDING, CROSS, RECURRENT = LayerKind.FULL, LayerKind.SLIDING, LayerKind.CROSS, LayerKind.RECURRENT


def numbers(name: str, values: list[int], kind: Kind = Kind.UINT32) -> Key:
    size = 1 if kind is Kind.BOOL else 4
    return Key(name.encode(), Kind.ARRAY, array(kind, [value.to_bytes(size, "little") for value in values]))


def model(*keys: Key, tensors: tuple[str, ...] = (), architecture: str = "llama", layers: int = 1) -> RawFile:
    """A model of an architecture whose layers have these tensors (names with the layer's number)."""
    shown = (text("general.architecture", architecture), number("general.file_type", 0))
    widths = {"block_count": layers, "context_length": 128, "embedding_length": 32, "feed_forward_length": 64}
    own = [number(f"{architecture}.{name}", value) for name, value in widths.items()]
    heads = number(f"{architecture}.attention.head_count", 4)
    names = tensors or tuple(f"blk.{index}.attn_k.weight" for index in range(layers))
    rows = tuple(TensorRow(name.encode(), (32, 4), 0, 512 * index) for index, name in enumerate(names))
    return RawFile((*shown, *own, heads), rows, bytes(512 * len(rows))).having(*keys)


def layers_of(folder: Path, file: RawFile) -> tuple[LayerSizes, ...]:
    return read(folder, file).sizes.layers


def kinds(folder: Path, file: RawFile) -> list[LayerKind]:
    return [layer.kind for layer in layers_of(folder, file)]


def test_heads_for_keys_default_to_all_heads_and_their_length_to_an_equal_share(tmp_path: Path) -> None:
    (layer,) = layers_of(tmp_path, model())
    assert (layer.kind, layer.kv_elements_per_token) == (FULL, 4 * (8 + 8))


def test_key_and_value_lengths_and_fewer_heads_are_believed(tmp_path: Path) -> None:
    (layer,) = layers_of(
        tmp_path,
        model(
            number("llama.attention.head_count_kv", 2),
            number("llama.attention.key_length", 16),
            number("llama.attention.value_length", 12),
            number("llama.attention.indexer.key_length", 5),
        ),
    )
    assert layer.kv_elements_per_token == 2 * (16 + 12) + 5


def test_each_layer_may_have_its_own_number_of_heads(tmp_path: Path) -> None:
    found = layers_of(tmp_path, model(numbers("llama.attention.head_count_kv", [4, 0, 2]), layers=3))
    assert [layer.kv_elements_per_token for layer in found] == [64, 0, 32]


def test_a_list_that_is_too_short_ends_in_zeros(tmp_path: Path) -> None:
    found = layers_of(tmp_path, model(numbers("llama.attention.head_count_kv", [4]), layers=2))
    assert [layer.kv_elements_per_token for layer in found] == [64, 0]


def test_a_window_without_a_pattern_is_not_believed(tmp_path: Path) -> None:
    assert kinds(tmp_path, model(number("llama.attention.sliding_window", 512), layers=3)) == [FULL] * 3


def test_a_pattern_by_list_says_which_layers_slide(tmp_path: Path) -> None:
    found = layers_of(
        tmp_path,
        model(
            number("llama.attention.sliding_window", 512),
            numbers("llama.attention.sliding_window_pattern", [1, 0, 1], Kind.BOOL),
            number("llama.attention.key_length_swa", 4),
            number("llama.attention.value_length_swa", 4),
            layers=3,
        ),
    )
    assert [layer.kind for layer in found] == [SLIDING, FULL, SLIDING]
    assert [layer.window_tokens for layer in found] == [512, 0, 512]
    assert [layer.kv_elements_per_token for layer in found] == [32, 64, 32]


def test_a_pattern_by_period_makes_the_last_of_each_full(tmp_path: Path) -> None:
    keys = number("llama.attention.sliding_window", 512), number("llama.attention.sliding_window_pattern", 3)
    assert kinds(tmp_path, model(*keys, layers=5)) == [SLIDING, SLIDING, FULL, SLIDING, SLIDING]


def test_an_architecture_may_imply_its_period(tmp_path: Path) -> None:
    file = model(number("gemma3.attention.sliding_window", 512), architecture="gemma3", layers=7)
    assert kinds(tmp_path, file) == [*[SLIDING] * 5, FULL, SLIDING]


def test_cross_attention_layers_keep_the_picture(tmp_path: Path) -> None:
    found = layers_of(
        tmp_path,
        model(
            numbers("mllama.attention.cross_attention_layers", [1]),
            number("mllama.vision.image_size", 28),
            number("mllama.vision.patch_size", 14),
            number("mllama.vision.max_num_tiles", 4),
            architecture="mllama",
            layers=2,
        ),
    )
    assert [layer.kind for layer in found] == [FULL, CROSS]
    assert (found[1].kv_elements_per_token, found[1].state_elements) == (0, 64 * 4 * (2 * 2 + 1))


def test_a_picture_without_patches_does_not_divide_by_zero(tmp_path: Path) -> None:
    found = layers_of(tmp_path, model(numbers("llama.attention.cross_attention_layers", [0])))
    assert found[0].state_elements == 64


def test_state_space_layers_hold_a_state_and_no_cache(tmp_path: Path) -> None:
    found = layers_of(
        tmp_path,
        model(
            *(number(f"llama.ssm.{name}", value) for name, value in _SSM.items()),
            tensors=("blk.0.ssm_in.weight", "blk.1.ssm_in.weight", "blk.1.attn_k.weight", "blk.2.attn_k.weight"),
            layers=3,
        ),
    )
    assert [layer.kind for layer in found] == [RECURRENT, RECURRENT, FULL]
    assert [layer.state_elements for layer in found] == [3 * (64 + 2 * 2 * 16) + 16 * 64] * 2 + [0]
    assert [layer.kv_elements_per_token for layer in found] == [0, 64, 64]


_SSM = {"inner_size": 64, "state_size": 16, "conv_kernel": 4, "group_count": 2}


def test_short_convolutions_and_time_mixing_hold_their_states(tmp_path: Path) -> None:
    conv = model(number("llama.shortconv.l_cache", 3), tensors=("blk.0.shortconv.conv.weight",))
    assert layers_of(tmp_path, conv)[0].state_elements == 32 * 2
    mixing = model(number("llama.wkv.head_size", 64), tensors=("blk.0.time_mix_w1.weight",))
    assert layers_of(tmp_path, mixing)[0].state_elements == 32 * (2 + 64)


def test_delta_attention_holds_a_square_for_each_head(tmp_path: Path) -> None:
    keys = number("llama.kda.head_dim", 8), numbers("llama.attention.head_count_kv", [0, 1])
    tensors = ("blk.0.ssm_conv1d_q.weight", "blk.1.attn_k_b.weight")
    found = layers_of(tmp_path, model(*keys, tensors=tensors, layers=2))
    assert [layer.kind for layer in found] == [RECURRENT, FULL]
    assert found[0].state_elements == 3 * 3 * 4 * 8 + 4 * 8 * 8
    assert (found[0].kv_elements_per_token, found[1].kv_elements_per_token) == (0, 16)
    taps = layers_of(tmp_path, model(*keys, number("llama.ssm.conv_kernel", 2), tensors=tensors, layers=2))
    assert taps[0].state_elements == 3 * 1 * 4 * 8 + 4 * 8 * 8


@pytest.mark.parametrize("tensor", ["blk.0.ssm_in.weight", "blk.0.shortconv.conv.weight"])
def test_a_recurrent_layer_of_unknown_size_is_refused(tensor: str, tmp_path: Path) -> None:
    with refused("recurrent layer in it does not state"):
        read(tmp_path, model(tensors=(tensor,)))


def test_encoder_and_decoder_blocks_of_one_number_are_one_layer(tmp_path: Path) -> None:
    file = model(
        number("t5.decoder_block_count", 3),
        tensors=("enc.blk.0.attn_k.weight", "dec.blk.0.attn_k.weight", "dec.blk.2.attn_k.weight", "blk.9.x.weight"),
        architecture="t5",
        layers=2,
    )
    sizes = read(tmp_path, file).sizes
    assert [layer.weight_bytes for layer in sizes.layers] == [1024, 0, 512]
    assert sizes.shared_weight_bytes == 512


def test_experts_widen_what_a_token_needs_between_layers(tmp_path: Path) -> None:
    def width(*keys: Key) -> int:
        return read(tmp_path, model(*keys)).sizes.feed_forward_length

    assert width() == 64
    assert width(number("llama.expert_used_count", 4)) == 4 * 64
    used = number("llama.expert_used_count", 4), number("llama.expert_feed_forward_length", 8)
    assert width(*used, number("llama.expert_shared_feed_forward_length", 50)) == 4 * 32 + 50
    assert width(numbers("llama.feed_forward_length", [10, 90])) == 90


def test_the_vocabulary_is_the_largest_that_anything_says(tmp_path: Path) -> None:
    def vocabulary(*keys: Key) -> ModelSizes:
        return read(tmp_path, model(*keys, tensors=("token_embd.weight",))).sizes

    assert vocabulary().vocab_size == 4
    assert vocabulary(texts("tokenizer.ggml.tokens", [b"t"] * 9)).vocab_size == 9
    assert vocabulary(number("llama.vocab_size", 12)).vocab_size == 12
    assert read(tmp_path, model()).sizes.vocab_size == 0


def test_query_heads_wider_than_the_embedding_are_reported(tmp_path: Path) -> None:
    assert read(tmp_path, model(number("llama.attention.key_length", 64))).sizes.attention_length == 4 * 64


@pytest.mark.parametrize("name", ["block_count", "context_length", "embedding_length"])
def test_a_model_must_state_its_sizes(name: str, tmp_path: Path) -> None:
    with refused(name.replace("_", " ")):
        read(tmp_path, model().without(f"llama.{name}".encode()))


@pytest.mark.parametrize(
    ("key", "words"),
    [
        (number("llama.block_count", limits.LAYERS_MAX + 1), "more layers"),
        (number("llama.attention.head_count", 0), "without heads"),
        (number("llama.attention.head_count", 1.5, Kind.FLOAT32), "whole number"),
        (number("llama.attention.head_count", -1, Kind.INT32), "whole number"),
        (number("llama.attention.head_count", 1 << 40, Kind.UINT64), "whole number"),
        (text("llama.attention.head_count", "4"), "whole number"),
        (texts("llama.attention.head_count", [b"4"]), "list with one whole number"),
        (numbers("general.file_type", [1]), "whole number"),
        (number("general.name", 1), "not text"),
        (number("tokenizer.chat_template", 1), "not text"),
    ],
)
def test_values_of_the_wrong_type_or_size_are_refused(key: Key, words: str, tmp_path: Path) -> None:
    with refused(words):
        read(tmp_path, model(key))


def test_layers_that_no_memory_holds_are_refused(tmp_path: Path) -> None:
    with refused("any memory"):
        read(
            tmp_path,
            model(
                number("llama.attention.head_count", 1 << 30),
                number("llama.attention.key_length", 1 << 30),
            ),
        )


def test_heads_of_no_layer_divide_nothing(tmp_path: Path) -> None:
    file = valid().without(b"llama.attention.head_count").without(b"llama.attention.head_count_kv")
    rows = (TensorRow(b"blk.0.ffn_up.weight", (32, 4), 0, 0),)
    found = read(tmp_path, RawFile(file.keys, rows, bytes(512))).sizes
    assert [layer.kv_elements_per_token for layer in found.layers] == [0]
    assert valid().tensors
