"""``options``: types and ranges, checked before anything reaches a runner.

A ``null`` counts as left out, unknown names are ignored. Integers may come as floats and are cut, as they have always
been. A wrong type is the client's error (400).
"""

from collections.abc import Mapping
from typing import Any

import msgspec

from service.http.errors import ApiError, not_served
from statemachines.wire.messages import Sampling

INT32_MAX = (1 << 31) - 1
FLOAT32_MAX = 3.4028234663852886e38
REPEAT_LAST_N_MAX = 1 << 20
"""The engine sets aside memory for so many tokens, whatever the context has room for; -1 is all of that."""
CONTEXT_TOKENS_MIN = 4
STOP_STRINGS_MAX = 128
STOP_BYTES_MAX = 1024

INTEGER_RANGES: dict[str, tuple[int, int]] = {
    "num_ctx": (0, INT32_MAX),
    "num_predict": (-INT32_MAX, INT32_MAX),
    "num_keep": (-1, INT32_MAX),
    "top_k": (-INT32_MAX, INT32_MAX),
    "repeat_last_n": (-1, REPEAT_LAST_N_MAX),
    "seed": (-(1 << 63), (1 << 63) - 1),
    # Known and never part of the answer: checked, then left to placement and the engine.
    "num_batch": (0, INT32_MAX),
    "num_thread": (0, INT32_MAX),
    "draft_num_predict": (0, INT32_MAX),
    # Refused below when they ask for something.
    "num_gpu": (-INT32_MAX, INT32_MAX),
    "main_gpu": (0, INT32_MAX),
    "mirostat": (-INT32_MAX, INT32_MAX),
}
_ANY_FLOAT = (-FLOAT32_MAX, FLOAT32_MAX)
FLOAT_RANGES: dict[str, tuple[float, float]] = {
    "temperature": _ANY_FLOAT,
    "top_p": _ANY_FLOAT,
    "min_p": _ANY_FLOAT,
    "repeat_penalty": (0.001, 1000.0),  # divides logits, or multiplies them
    "typical_p": _ANY_FLOAT,
    "presence_penalty": _ANY_FLOAT,
    "frequency_penalty": _ANY_FLOAT,
}
BOOLEANS = ("use_mmap",)

NOT_SERVED_UNLESS: dict[str, float] = {
    "typical_p": 1.0,
    "presence_penalty": 0.0,
    "frequency_penalty": 0.0,
    "mirostat": 0,
    "main_gpu": 0,
}
"""Options that would change the answer, with the one value that does not."""


class Options(msgspec.Struct, frozen=True):
    """What a request's options say.

    Attributes:
        num_ctx: None for the default.
        gpu_layers: layers to put on accelerators [count]; None leaves it to placement.
    """

    num_ctx: int | None
    gpu_layers: int | None
    num_predict: int
    num_keep: int
    stop: tuple[str, ...]
    sampling: Sampling


def read_options(raw: Mapping[str, Any]) -> Options:
    """Typed options with the defaults of the API.

    Raises:
        ApiError: 400 for a wrong type or a value out of range; 501 for an option that is not served yet.
    """
    given = {name: _checked(name, value) for name, value in raw.items() if value is not None}
    _refuse_unserved(given)
    return Options(
        num_ctx=_context(given.get("num_ctx", 0)),
        gpu_layers=_gpu_layers(given.get("num_gpu", -1)),
        num_predict=given.get("num_predict", -1),
        num_keep=given.get("num_keep", 4),
        stop=given.get("stop", ()),
        sampling=_sampling(given),
    )


def check_range(shown: str, value: float, limits: tuple[float, float]) -> None:
    """Refuse a number that is not within its limits, both included, by its name and with them.

    Raises:
        ApiError: 400.
    """
    low, high = limits
    if not low <= value <= high:
        raise ApiError(400, f"{shown} must be between {_written(low)} and {_written(high)}")


def _written(limit: float) -> str:
    return str(limit) if isinstance(limit, int) else f"{limit:g}"


def _checked(name: str, value: object) -> Any:
    if name in INTEGER_RANGES:
        return _integer(name, value)
    if name in FLOAT_RANGES:
        return _float(name, value)
    if name in BOOLEANS and not isinstance(value, bool):
        raise ApiError(400, f'option "{name}" must be of type boolean')
    return _stop(value) if name == "stop" else value


def _integer(name: str, value: object) -> int:
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise ApiError(400, f'option "{name}" must be of type integer')
    check_range(f'option "{name}"', int(value), INTEGER_RANGES[name])
    return int(value)


def _float(name: str, value: object) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise ApiError(400, f'option "{name}" must be of type float32')
    check_range(f'option "{name}"', value, FLOAT_RANGES[name])
    return float(value)


def _stop(value: object) -> tuple[str, ...]:
    if not isinstance(value, list):
        raise ApiError(400, 'option "stop" must be of type array')
    if not all(isinstance(item, str) for item in value):
        raise ApiError(400, 'option "stop" must be of an array of strings')
    if len(value) > STOP_STRINGS_MAX:
        raise ApiError(400, f'option "stop" may hold at most {STOP_STRINGS_MAX} strings')
    if any(len(item.encode()) > STOP_BYTES_MAX for item in value):
        raise ApiError(400, f'a string of option "stop" may be at most {STOP_BYTES_MAX} bytes long')
    return tuple(item for item in value if item)


def _refuse_unserved(given: Mapping[str, Any]) -> None:
    for name, harmless in NOT_SERVED_UNLESS.items():
        if given.get(name, harmless) != harmless:
            raise not_served(f'option "{name}"')
    if given.get("num_gpu", -1) > 0:
        raise not_served('option "num_gpu" above 0')


def _context(num_ctx: int) -> int | None:
    return max(num_ctx, CONTEXT_TOKENS_MIN) if num_ctx else None


def _gpu_layers(num_gpu: int) -> int | None:
    """0 asks for the CPU, a negative one leaves it to us."""
    return num_gpu if num_gpu >= 0 else None


def _sampling(given: Mapping[str, Any]) -> Sampling:
    return Sampling(**{name: given[name] for name in Sampling.__struct_fields__ if name in given})
