"""The request of ``POST /v1/chat/completions``, read into the terms of ``/api/chat``."""

from collections.abc import Iterator
from typing import Any

import msgspec

from service.http.bodies import folded, typed
from service.http.errors import ApiError, not_served
from service.http.ollama.asking import check_top_logprobs
from service.http.openai.content import OpenAITurn
from service.http.options import INTEGER_RANGES, check_range
from service.http.thinking import Think, read_effort, read_think


class StreamOptions(msgspec.Struct):
    include_usage: bool = False


class ResponseFormat(msgspec.Struct):
    type: str = ""


class Reasoning(msgspec.Struct):
    effort: str = ""


class ChatCompletionsBody(msgspec.Struct, kw_only=True):
    """The request body; ``null`` has been left out before. What is not here changes no answer and is ignored."""

    model: str = ""
    messages: list[OpenAITurn] = []
    stream: bool = False
    stream_options: StreamOptions = msgspec.field(default_factory=StreamOptions)
    max_tokens: int | None = None
    max_completion_tokens: int | None = None
    seed: int | None = None
    stop: Any = None
    temperature: float = 1.0
    top_p: float = 1.0
    frequency_penalty: float = 0.0
    presence_penalty: float = 0.0
    response_format: ResponseFormat = msgspec.field(default_factory=ResponseFormat)
    reasoning: Reasoning | None = None
    reasoning_effort: str = ""
    logprobs: bool = False
    top_logprobs: int = 0
    n: int = 1
    tool_choice: Any = None
    modalities: list[str] = []
    tools: list[Any] = []
    functions: list[Any] = []
    function_call: Any = None
    logit_bias: dict[str, Any] = {}
    audio: Any = None
    web_search_options: Any = None
    verbosity: str = ""
    options: dict[str, Any] = {}
    num_ctx: int = 0
    # Not of OpenAI's API, but what its clients send as extra fields to local servers.
    top_k: Any = None
    min_p: Any = None
    repeat_penalty: Any = None
    repeat_last_n: Any = None
    typical_p: Any = None
    format: Any = None
    think: Any = None
    debug_render_only: bool = msgspec.field(default=False, name="_debug_render_only")


HARMLESS: dict[str, tuple[Any, ...]] = {
    "frequency_penalty": (0.0,),
    "presence_penalty": (0.0,),
    "logprobs": (False,),
    "top_logprobs": (0,),
    "n": (0, 1),
    "tool_choice": (None, "", "auto", "none"),
    "modalities": ([], ["text"]),
    "tools": ([],),
    "functions": ([],),
    "function_call": (None, "", "auto", "none"),
    "logit_bias": ({},),
    "audio": (None,),
    "web_search_options": (None,),
    "verbosity": ("", "medium"),
    "options": ({},),
    "num_ctx": (0,),
    "format": (None, ""),
    "debug_render_only": (False,),
}
"""Fields that are not served yet, with the values that ask for nothing."""

_OBJECTS = ("stream_options", "response_format", "reasoning")
"""Fields whose own fields are known, and so fold as those of the body do."""

SAMPLING_EXTRAS = ("top_k", "min_p", "repeat_penalty", "repeat_last_n", "typical_p")
"""Options of ``/api/chat`` that count here too when they stand beside the fields of OpenAI."""


def refuse_unserved(body: ChatCompletionsBody) -> None:
    """Refuse what would change the answer and is not served yet.

    Raises:
        ApiError: 501 with the field's name.
    """
    check_top_logprobs(body.top_logprobs)
    if body.response_format.type.strip().lower() in ("json_object", "json_schema"):
        raise not_served("response_format")
    for name, harmless in HARMLESS.items():
        if getattr(body, name) not in harmless:
            raise not_served("_debug_render_only" if name == "debug_render_only" else name)


def read_options(body: ChatCompletionsBody) -> dict[str, Any]:
    """The options of ``/api/chat`` that the request means.

    Both limits on tokens are known here, the smaller one counts.

    Raises:
        ApiError: 400.
    """
    limits = list(_limits(body))
    return {
        "temperature": body.temperature,
        "top_p": body.top_p,
        "seed": body.seed,
        "num_predict": min(limits) if limits else None,
        "stop": _stop(body.stop),
        **{name: getattr(body, name) for name in SAMPLING_EXTRAS},
    }


def read_thinking(body: ChatCompletionsBody) -> Think:
    """What the request says about thinking: ``think`` counts before ``reasoning``, that before ``reasoning_effort``.

    Raises:
        ApiError: 400.
    """
    if body.think is not None:
        return read_think(body.think)
    return read_effort(body.reasoning.effort if body.reasoning else body.reasoning_effort)


def read_body(fields: dict[str, Any]) -> ChatCompletionsBody:
    """The typed body.

    Raises:
        ApiError: 400, a field has the wrong type.
    """
    objects = {name: folded(fields[name]) for name in _OBJECTS if isinstance(fields.get(name), dict)}
    return typed({**fields, **objects}, ChatCompletionsBody)


def _limits(body: ChatCompletionsBody) -> Iterator[int]:
    """The limits on tokens that there are, refused under the names that the client gave them."""
    for name in ("max_tokens", "max_completion_tokens"):
        limit = getattr(body, name)
        if limit is not None:
            check_range(name, limit, INTEGER_RANGES["num_predict"])
            yield limit


def _stop(value: object) -> list[str] | None:
    """Stop strings; of a list what is no string is skipped, as clients have been able to rely on."""
    if value is None or isinstance(value, str):
        return None if value is None else [value]
    if not isinstance(value, list):
        raise ApiError(400, "stop must be a string or an array of strings")
    return [item for item in value if isinstance(item, str)]
