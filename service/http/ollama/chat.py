"""``POST /api/chat``: a conversation so far, and its next turn."""

from typing import Any

import msgspec
from quart import Response

from service.front import StoredModel
from service.http.answering import Wish
from service.http.bodies import folded_messages, parse_object, typed
from service.http.errors import ApiError, not_served
from service.http.exchange import Exchange
from service.http.lookup import MODEL_REQUIRED_TEXT, find_model
from service.http.ollama.answer import answer, load_only, unload_only
from service.http.ollama.asking import (
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
from statemachines.wire.messages import ChatMessage


class Turn(msgspec.Struct, kw_only=True):
    """One message of the request. The fields below ``content`` are not served yet."""

    role: str = ""
    content: str = ""
    thinking: str = ""
    images: list[Any] = []
    tool_calls: list[Any] = []
    tool_name: str = ""
    tool_call_id: str = ""


class ChatBody(SharedBody, kw_only=True):
    """The request body."""

    messages: list[Turn] = msgspec.field(default_factory=list)
    tools: list[Any] = msgspec.field(default_factory=list)


async def chat(exchange: Exchange) -> Response:
    """Answer a conversation, or load or unload a model when there is none. Checks as for generate."""
    body = typed(folded_messages(parse_object(await exchange.body())), ChatBody)
    asked = read_shared(body)
    model = find_chat_model(exchange, body.model)
    if not body.messages and asked.keep_alive_ns == 0:
        return unload_only(exchange, asked, model, shape)
    refuse_unserved(body)
    refuse_fields(body, ("tools",))
    turns = [_turn(turn) for turn in body.messages]
    model = await check_model(exchange, asked, model, "chat")
    options = read_options(body.options)
    wish = Wish(model, options.num_ctx, asked.keep_alive_ns, options.gpu_layers)
    if not turns:
        return await load_only(exchange, asked, wish, shape)
    return await answer(exchange, asked, wish, make_generate(options, chat_prompt(turns, asked)), shape)


def find_chat_model(exchange: Exchange, reference: str) -> StoredModel:
    """The model of a chat, whichever API asks.

    Raises:
        ApiError: 400 or 404.
    """
    if not reference.strip():
        raise ApiError(400, MODEL_REQUIRED_TEXT)
    return find_model(exchange.front, reference, absent_text=f"model '{quoted(reference)}' not found")


def shape(text: str) -> dict[str, object]:
    return {"message": {"role": "assistant", "content": text}}


def _turn(turn: Turn) -> ChatMessage:
    for name in ("thinking", "images", "tool_calls", "tool_name", "tool_call_id"):
        if getattr(turn, name):
            raise not_served(f"messages[].{name}")
    return ChatMessage(turn.role.lower(), turn.content)
