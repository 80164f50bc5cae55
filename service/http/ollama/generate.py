"""``POST /api/generate``: one prompt, one answer."""

from typing import Annotated, Any

import msgspec
from quart import Response

from service.http.answering import Wish
from service.http.bodies import parse_object, typed
from service.http.errors import ApiError
from service.http.exchange import Exchange
from service.http.lookup import find_model
from service.http.ollama.answer import answer, load_only, unload_only
from service.http.ollama.asking import (
    Asked,
    SharedBody,
    chat_prompt,
    check_model,
    make_generate,
    read_shared,
    refuse_fields,
    refuse_unserved,
)
from service.http.options import read_options
from service.quoting import quoted
from statemachines.wire.messages import ChatMessage, ChatPrompt, TextPrompt

TokenId = Annotated[int, msgspec.Meta(ge=0, lt=1 << 31)]
CONTEXT_TOKENS_MAX = 1 << 20
"""More than any model takes."""


class GenerateBody(SharedBody, kw_only=True):
    """The request body."""

    prompt: str = ""
    system: str = ""
    raw: bool = False
    context: Annotated[tuple[TokenId, ...], msgspec.Meta(max_length=CONTEXT_TOKENS_MAX)] = ()
    suffix: str = ""
    template: str = ""
    images: list[Any] = msgspec.field(default_factory=list)


async def generate(exchange: Exchange) -> Response:
    """Answer a prompt, or load or unload a model when there is none.

    (1) The body must be well-formed and its values possible.
    (2) The model must exist.
    (3) An empty prompt with keep_alive 0 unloads.
    (4) Raw text takes no template, system text or context.
    (5) Fields that are not served are refused by name.
    (6) The model must be able to do it, and the options must be possible.
    (7) An empty prompt loads.
    """
    body = typed(parse_object(await exchange.body()), GenerateBody)
    asked = read_shared(body)  # (1)
    model = find_model(exchange.front, body.model, absent_text=f"model '{quoted(body.model)}' not found")  # (2)
    if not body.prompt and asked.keep_alive_ns == 0:  # (3)
        return unload_only(exchange, asked, model, shape)
    _check_raw(body)  # (4)
    refuse_unserved(body)  # (5)
    refuse_fields(body, ("suffix", "template", "images"))
    model = await check_model(exchange, asked, model, "generate")  # (6)
    options = read_options(body.options)
    wish = Wish(model, options.num_ctx, asked.keep_alive_ns, options.gpu_layers)
    if not body.prompt:  # (7)
        return await load_only(exchange, asked, wish, shape)
    orders = make_generate(options, _prompt(body, asked), context=body.context, with_context=not body.raw)
    return await answer(exchange, asked, wish, orders, shape)


def shape(text: str) -> dict[str, object]:
    return {"response": text}


def _check_raw(body: GenerateBody) -> None:
    if body.raw and (body.template or body.system or body.context):
        raise ApiError(400, "raw mode does not support template, system, or context")


def _prompt(body: GenerateBody, asked: Asked) -> ChatPrompt | TextPrompt:
    if body.raw:
        return TextPrompt(body.prompt, truncate=asked.truncate)
    system = [ChatMessage("system", body.system)] if body.system else []
    return chat_prompt([*system, ChatMessage("user", body.prompt)], asked)
