"""Options: types, ranges, defaults, and those that are refused by name."""

from typing import Any

import pytest

from service.http.errors import ApiError
from service.http.options import FLOAT32_MAX, INT32_MAX, STOP_BYTES_MAX, STOP_STRINGS_MAX, read_options
from statemachines.wire.messages import Sampling

INTEGERS = (
    *("num_ctx", "num_predict", "num_keep", "top_k", "repeat_last_n", "seed", "num_batch", "num_thread"),
    *("num_gpu", "main_gpu", "mirostat", "draft_num_predict"),
)
FLOATS = (
    *("temperature", "top_p", "min_p", "repeat_penalty", "typical_p"),
    *("presence_penalty", "frequency_penalty"),
)


def refusal(options: dict[str, Any]) -> tuple[int, str]:
    with pytest.raises(ApiError) as caught:
        read_options(options)
    return caught.value.status, caught.value.message


def test_the_defaults_are_those_of_the_api() -> None:
    options = read_options({})
    assert (options.num_ctx, options.num_predict, options.num_keep, options.stop) == (None, -1, 4, ())
    assert options.sampling == Sampling(
        temperature=0.8, top_k=40, top_p=0.9, min_p=0.0, repeat_penalty=1.0, repeat_last_n=64, seed=-1
    )


def test_every_served_option_arrives() -> None:
    options = read_options(
        {
            "temperature": 0,
            "top_k": 1,
            "top_p": 0.5,
            "min_p": 0.1,
            "seed": 42,
            "repeat_penalty": 1.1,
            "repeat_last_n": -1,
            "num_ctx": 2048,
            "num_predict": 17,
            "num_keep": 9,
            "stop": ["a", "", "b"],
        }
    )
    assert options.sampling == Sampling(0.0, 1, 0.5, 0.1, 1.1, -1, 42)
    assert (options.num_ctx, options.num_predict, options.num_keep, options.stop) == (2048, 17, 9, ("a", "b"))


def test_integers_may_come_as_floats_and_are_cut() -> None:
    options = read_options({"num_ctx": 2048.9, "seed": -3.7, "top_k": 2.0})
    assert (options.num_ctx, options.sampling.seed, options.sampling.top_k) == (2048, -3, 2)


def test_null_counts_as_left_out_and_unknown_names_are_ignored() -> None:
    names = (*INTEGERS, *FLOATS, "stop", "use_mmap")
    assert read_options({**dict.fromkeys(names), "no_such_option": {}, "NUM_CTX": "x"}) == read_options({})


@pytest.mark.parametrize("name", INTEGERS)
@pytest.mark.parametrize("value", ["1", True, [1], {}])
def test_an_integer_of_another_type_is_refused(name: str, value: object) -> None:
    assert refusal({name: value}) == (400, f'option "{name}" must be of type integer')


@pytest.mark.parametrize("name", FLOATS)
@pytest.mark.parametrize("value", ["1.0", False, [0.5], {}])
def test_a_float_of_another_type_is_refused(name: str, value: object) -> None:
    assert refusal({name: value}) == (400, f'option "{name}" must be of type float32')


def test_a_boolean_of_another_type_is_refused() -> None:
    assert refusal({"use_mmap": 1}) == (400, 'option "use_mmap" must be of type boolean')


@pytest.mark.parametrize("value", ["a", 1, True, {}])
def test_stop_must_be_an_array(value: object) -> None:
    assert refusal({"stop": value}) == (400, 'option "stop" must be of type array')


@pytest.mark.parametrize("value", [["a", 1], [None], [["a"]]])
def test_stop_must_hold_strings(value: object) -> None:
    assert refusal({"stop": value}) == (400, 'option "stop" must be of an array of strings')


def test_stop_is_bounded() -> None:
    assert len(read_options({"stop": ["x"] * STOP_STRINGS_MAX}).stop) == STOP_STRINGS_MAX
    assert refusal({"stop": ["x"] * (STOP_STRINGS_MAX + 1)})[0] == 400
    assert len(read_options({"stop": ["\u00e4" * (STOP_BYTES_MAX // 2)]}).stop) == 1
    assert refusal({"stop": ["\u00e4" * (STOP_BYTES_MAX // 2) + "x"]})[0] == 400


@pytest.mark.parametrize(
    "options",
    [
        {"num_ctx": -1},
        {"num_ctx": INT32_MAX + 1},
        {"num_ctx": 1e300},
        {"top_k": INT32_MAX + 1},
        {"top_k": -INT32_MAX - 1},
        {"repeat_last_n": -2},
        {"repeat_last_n": (1 << 20) + 1},
        {"num_keep": -2},
        {"num_predict": 10**12},
        {"seed": 1 << 63},
        {"num_batch": -1},
        {"main_gpu": -1},
        {"temperature": 1e39},
        {"top_p": -2 * FLOAT32_MAX},
        {"repeat_penalty": 0},
        {"repeat_penalty": -1.0},
        {"repeat_penalty": 1e-45},
        {"repeat_penalty": 1e38},
    ],
)
def test_a_value_out_of_range_is_named(options: dict[str, Any]) -> None:
    status, message = refusal(options)
    assert status == 400
    assert f'"{next(iter(options))}"' in message


@pytest.mark.parametrize(("value", "expected"), [(0, None), (1, 4), (4, 4), (INT32_MAX, INT32_MAX)])
def test_a_context_has_a_floor_and_zero_is_the_default(value: int, expected: int | None) -> None:
    assert read_options({"num_ctx": value}).num_ctx == expected


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("typical_p", 0.5),
        ("presence_penalty", 0.1),
        ("frequency_penalty", -1),
        ("mirostat", 2),
        ("main_gpu", 1),
        ("num_gpu", 1),
    ],
)
def test_an_option_that_would_change_the_answer_is_refused_by_name(name: str, value: float) -> None:
    status, message = refusal({name: value})
    assert status == 501
    assert f'option "{name}"' in message


@pytest.mark.parametrize(
    "options",
    [
        {"typical_p": 1, "presence_penalty": 0, "frequency_penalty": 0.0, "mirostat": 0, "main_gpu": 0},
        {"num_gpu": -1},
        {"num_batch": 64, "num_thread": 3, "use_mmap": False, "draft_num_predict": 2},
    ],
)
def test_what_changes_no_answer_is_accepted(options: dict[str, Any]) -> None:
    assert read_options(options) == read_options({})


@pytest.mark.parametrize(("num_gpu", "expected"), [(None, None), (-1, None), (-7, None), (0, 0)])
def test_no_gpu_may_be_asked_for(num_gpu: int | None, expected: int | None) -> None:
    assert read_options({"num_gpu": num_gpu}).gpu_layers == expected
