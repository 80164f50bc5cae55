"""``POST /v1/chat/completions``: the same as ``/api/chat``, in the words of the OpenAI API."""

from quart import Response

from service.http.answering import Wish, begin, collect, written
from service.http.bodies import folded_messages, parse_object
from service.http.exchange import Exchange
from service.http.lookup import check_capability, facts_now
from service.http.ollama.asking import make_generate
from service.http.ollama.chat import find_chat_model
from service.http.openai.asking import (
    ChatCompletionsBody,
    read_body,
    read_options,
    read_thinking,
    refuse_unserved,
)
from service.http.openai.content import read_turns
from service.http.openai.frames import Head, SseWriter, completion
from service.http.options import read_options as checked_options
from service.http.replies import BARE_JSON, SSE, json_reply, stream_reply
from service.http.thinking import check_think
from statemachines.units import NS_PER_S
from statemachines.wire.messages import ChatPrompt, Generate


async def chat_completions(exchange: Exchange) -> Response:
    """Answer a conversation.

    (1) The body must be well-formed and its values possible.
    (2) The model must exist.
    (3) Fields that are not served are refused by name.
    (4) The model must be able to do it.
    """
    body = read_body(folded_messages(parse_object(await exchange.body(), empty_text="EOF")))
    turns, think = read_turns(body.messages), read_thinking(body)  # (1)
    model = find_chat_model(exchange, body.model)  # (2)
    refuse_unserved(body)  # (3)
    model, facts = await facts_now(exchange.front, model)
    check_capability(facts, body.model, "chat")  # (4)
    check_think(think, facts, body.model, field="reasoning_effort")
    orders = make_generate(checked_options(read_options(body)), ChatPrompt(tuple(turns)))
    return await _answer(exchange, body, Wish(model, None, None), orders)


async def _answer(exchange: Exchange, body: ChatCompletionsBody, wish: Wish, orders: Generate) -> Response:
    if body.stream:
        begun = await begin(exchange, wish, orders)
        writer = SseWriter(_head(exchange, body.model), with_usage=body.stream_options.include_usage)
        return stream_reply(written(exchange, begun, writer), SSE)
    whole, _ = await collect(exchange, wish, orders)
    return json_reply(completion(_head(exchange, body.model), whole.text, whole.ended), content_type=BARE_JSON)


def _head(exchange: Exchange, name: str) -> Head:
    return Head(f"chatcmpl-{exchange.request}", exchange.wall_ns() // NS_PER_S, name)
