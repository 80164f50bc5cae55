"""Values that only some fields refuse, with the words of each: the part of the table that no type implies.

A field of any type, and one that is or holds a number, must have its rows here (`tests.bad_input.fields`).
"""

from typing import Any

from service.http.ollama.generate import CONTEXT_TOKENS_MAX
from service.http.options import INT32_MAX
from tests.bad_input.options import wrong_options

Wrong = list[tuple[Any, int, str]]
"""Values, each with status and message."""

_THINK = '"high", "medium", "low", "max", true, or false'
_EFFORT = '"minimal", "low", "medium", "high", "xhigh", "ultra", "max", or "none"'
THINK: Wrong = [
    *((value, 400, f"think must be a boolean or string ({_THINK})") for value in (5, 1.5, [], {})),
    *((value, 400, f'invalid think value: "{value}" (must be {_THINK})') for value in ("", "very", "High")),
    ("x" * 5_000, 400, f'invalid think value: "{"x" * 640}\u2026" (must be {_THINK})'),
]
FORMAT: Wrong = [
    *(
        (value, 400, f'invalid format: "{written}"; expected "json" or a valid JSON Schema object')
        for value, written in ((5, "5"), (1.5, "1.5"), (True, "true"), ([], "[]"), ("xml", '"xml"'))
    ),
    ("x" * 5_000, 400, f'invalid format: ""{"x" * 639}\u2026"; expected "json" or a valid JSON Schema object'),
]


def not_served(name: str, *values: Any) -> Wrong:
    """A field that is known and not served: refused by its name, whatever its type."""
    return [(value, 501, f"{name} is not served yet; leave it out to get the default behaviour") for value in values]


def _option(name: str) -> Wrong:
    return [(value, status, message) for known, value, status, message in wrong_options() if known == name]


def _content_types() -> Wrong:
    names = {5: "float64", 1.5: "float64", True: "bool"}
    wrong: Wrong = [(value, 400, f"invalid message content type: {name}") for value, name in names.items()]
    wrong.append(({}, 400, "invalid message content type: map[string]interface {}"))
    no_parts: list[Any] = [["x"], [5], [None], [[]], [{}], [{"type": "text"}], [{"type": "text", "text": 5}]]
    wrong += [(value, 400, "invalid message format") for value in [*no_parts, [{"text": "x"}], [{"type": "x"}]]]
    for kind in ("image_url", "input_audio", "file"):
        wrong += not_served(f"messages[].content of type {kind}", [{"type": kind}])
    return wrong


OF_ANY_TYPE: dict[tuple[str, str], Wrong] = {
    **dict.fromkeys((("GenerateBody", "think"), ("ChatBody", "think"), ("ChatCompletionsBody", "think")), THINK),
    **dict.fromkeys((("GenerateBody", "format"), ("ChatBody", "format")), FORMAT),
    # Durations have a table of their own.
    ("GenerateBody", "keep_alive"): [],
    ("ChatBody", "keep_alive"): [],
    ("ChatCompletionsBody", "stop"): [
        (value, 400, "stop must be a string or an array of strings") for value in (5, 1.5, True, {})
    ],
    **{
        ("ChatCompletionsBody", name): not_served(name, 5, True, [], {}, "required")
        for name in ("tool_choice", "function_call", "audio", "web_search_options", "format")
    },
    **{
        ("ChatCompletionsBody", name): _option(name)
        for name in ("top_k", "min_p", "repeat_penalty", "repeat_last_n", "typical_p")
    },
    ("OpenAITurn", "content"): _content_types(),
    ("OpenAITurn", "function_call"): not_served("messages[].function_call", 5, True, [1], {"name": "f"}),
    ("OpenAITurn", "audio"): not_served("messages[].audio", 5, True, [1], {"id": "a"}),
}

_TOP_LOGPROBS: Wrong = [(value, 400, "top_logprobs must be between 0 and 20") for value in (-1, 21, 10**30)]


def _range(name: str, low: float, high: float, *values: float) -> Wrong:
    return [(value, 400, f"{name} must be between {low} and {high}") for value in values]


NUMBERS: dict[tuple[str, str], Wrong] = {
    **dict.fromkeys(
        ((body, "top_logprobs") for body in ("GenerateBody", "ChatBody", "ChatCompletionsBody")), _TOP_LOGPROBS
    ),
    **{
        ("ChatCompletionsBody", name): _range(name, -INT32_MAX, INT32_MAX, INT32_MAX + 1, -INT32_MAX - 1, 10**30)
        for name in ("max_tokens", "max_completion_tokens")
    },
    ("ChatCompletionsBody", "seed"): _range(
        'option "seed"', -(1 << 63), (1 << 63) - 1, 1 << 63, -(1 << 63) - 1, 10**30
    ),
    **{
        ("ChatCompletionsBody", name): [
            (value, 400, f'option "{name}" must be between -3.40282e+38 and 3.40282e+38') for value in (1e39, -1e308)
        ]
        for name in ("temperature", "top_p")
    },
    **{
        ("ChatCompletionsBody", name): not_served(name, 0.5, -2, 1e308)
        for name in ("frequency_penalty", "presence_penalty")
    },
    ("ChatCompletionsBody", "n"): not_served("n", 2, -1, 10**30),
    ("ChatCompletionsBody", "num_ctx"): not_served("num_ctx", 1, -1, 10**30),
    ("GenerateBody", "context"): [
        ([-1], 400, "invalid request: Expected `int` >= 0 - at `$.context[0]`"),
        ([1, INT32_MAX + 1], 400, f"invalid request: Expected `int` <= {INT32_MAX} - at `$.context[1]`"),
        (
            [0] * (CONTEXT_TOKENS_MAX + 1),
            400,
            f"invalid request: Expected `array` of length <= {CONTEXT_TOKENS_MAX} - at `$.context`",
        ),
    ],
}
"""Numbers out of their range, for each field that is one or holds some."""

TEXTS: list[tuple[str, str, Any, int, str]] = [
    ("/v1/chat/completions", "messages", [], 400, "[] is too short - 'messages'"),
    ("/v1/chat/completions", "messages", [None], 400, "invalid message content type: <nil>"),
    (
        *("/v1/chat/completions", "reasoning_effort", "very", 400),
        f'invalid reasoning value: "very" (must be {_EFFORT})',
    ),
    (
        *("/v1/chat/completions", "reasoning", {"effort": "x" * 5_000}, 400),
        f'invalid reasoning value: "{"x" * 640}\u2026" (must be {_EFFORT})',
    ),
]
"""Fields of the right type with a value that is none."""
