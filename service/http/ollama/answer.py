"""The answer of ``/api/generate`` and ``/api/chat`` to a wish, streamed or whole."""

from quart import Response

from service.front import StoredModel
from service.http.answering import Wish, begin, collect, load, written
from service.http.exchange import Exchange
from service.http.ollama.asking import Asked
from service.http.ollama.chunks import NdjsonWriter, Shape, chunk, last_chunk
from service.http.replies import NDJSON, json_reply, stream_reply
from statemachines.wire.messages import Generate


async def answer(exchange: Exchange, asked: Asked, wish: Wish, generate: Generate, shape: Shape) -> Response:
    """Answer as lines of JSON, or as one object when the client asked for no stream."""
    if asked.is_stream:
        begun = await begin(exchange, wish, generate)
        writer = NdjsonWriter(exchange, asked.name, shape, begun.load_ns)
        return stream_reply(written(exchange, begun, writer), NDJSON)
    whole, load_ns = await collect(exchange, wish, generate)
    return json_reply(last_chunk(exchange, asked.name, shape(whole.text), whole.ended, load_ns))


async def load_only(exchange: Exchange, asked: Asked, wish: Wish, shape: Shape) -> Response:
    """Have the model loaded; one object, also where a stream was asked for."""
    await load(exchange, wish)
    return json_reply(chunk(exchange, asked.name, shape(""), done=True, reason="load"))


def unload_only(exchange: Exchange, asked: Asked, model: StoredModel, shape: Shape) -> Response:
    """Have the model unloaded when it is idle. Never loads, and is content with a model that is not loaded."""
    exchange.front.stop(model)
    return json_reply(chunk(exchange, asked.name, shape(""), done=True, reason="unload"))
