"""What ``/api/generate`` and ``/api/chat`` have in common: their shared fields and the order of their checks."""

from typing import Any

import msgspec

from service.front import StoredModel
from service.http.durations import keep_alive_ns
from service.http.errors import ApiError, not_served
from service.http.exchange import Exchange
from service.http.lookup import check_capability, facts_now
from service.http.options import Options
from service.http.thinking import Think, check_think, read_think
from service.quoting import quoted
from statemachines.units import LeaseId
from statemachines.wire.messages import ChatMessage, ChatPrompt, Generate, TextPrompt

TOP_LOGPROBS_MAX = 20


class SharedBody(msgspec.Struct, kw_only=True):
    """Fields of both endpoints; ``null`` has been left out before."""

    model: str = ""
    stream: bool = True
    keep_alive: Any = None
    options: dict[str, Any] = {}
    format: Any = None
    think: Any = None
    truncate: bool = True
    shift: bool = True
    logprobs: bool = False
    top_logprobs: int = 0
    debug_render_only: bool = msgspec.field(default=False, name="_debug_render_only")


class Asked(msgspec.Struct, frozen=True):
    """The shared fields of a request, checked as far as they can be without its model."""

    name: str
    is_stream: bool
    keep_alive_ns: int | None
    think: Think
    truncate: bool


def read_shared(body: SharedBody) -> Asked:
    """Check what needs no model.

    Raises:
        ApiError: 400.
    """
    check_top_logprobs(body.top_logprobs)
    return Asked(
        name=body.model,
        is_stream=body.stream,
        keep_alive_ns=keep_alive_ns(body.keep_alive),
        think=read_think(body.think),
        truncate=body.truncate,
    )


def check_top_logprobs(count: int) -> None:
    if not 0 <= count <= TOP_LOGPROBS_MAX:
        raise ApiError(400, f"top_logprobs must be between 0 and {TOP_LOGPROBS_MAX}")


async def check_model(exchange: Exchange, asked: Asked, model: StoredModel, verb: str) -> StoredModel:
    """Check what can only be known from the model's file; the model as it is now.

    Raises:
        ApiError: 400 or 501.
    """
    model, facts = await facts_now(exchange.front, model)
    check_capability(facts, asked.name, verb)
    check_think(asked.think, facts, asked.name)
    return model


def refuse_unserved(body: SharedBody) -> None:
    """Refuse the shared fields that would change the answer and are not served yet.

    Raises:
        ApiError: 501 with the field's name; 400 for a ``format`` that is none.
    """
    if body.format not in (None, ""):
        raise _bad_format(body.format)
    refuse_fields(body, ("logprobs", "top_logprobs", "debug_render_only"))
    if not body.shift:
        raise not_served("shift: false")


def refuse_fields(body: msgspec.Struct, names: tuple[str, ...]) -> None:
    """Refuse each of these fields that does not have its default.

    Raises:
        ApiError: 501 with the name as it is on the wire.
    """
    wire_names = dict(zip(body.__struct_fields__, body.__struct_encode_fields__, strict=True))
    for name in names:
        if getattr(body, name):
            raise not_served(wire_names[name])


def make_generate(options: Options, prompt: ChatPrompt | TextPrompt, **more: Any) -> Generate:
    """The runner's orders for an answer to ``prompt``; ``more`` are further fields of them."""
    return Generate(
        lease=LeaseId(0),  # filled in by the lease
        prompt=prompt,
        sampling=options.sampling,
        num_predict=options.num_predict,
        num_keep=options.num_keep,
        stop=options.stop,
        **more,
    )


def chat_prompt(turns: list[ChatMessage], asked: Asked) -> ChatPrompt:
    return ChatPrompt(tuple(turns), truncate=asked.truncate)


def _bad_format(value: object) -> ApiError:
    if value == "json" or isinstance(value, dict):
        return not_served("format")
    raw = quoted(msgspec.json.encode(value).decode())
    return ApiError(400, f'invalid format: "{raw}"; expected "json" or a valid JSON Schema object')
