"""``GET /`` and ``GET /api/version``: is anybody there, and does it speak my version?"""

from quart import Response

from service.http.exchange import Exchange
from service.http.replies import TEXT, json_reply, reply


async def root(exchange: Exchange) -> Response:
    """What clients use as a heartbeat; the words are part of the API."""
    return reply(b"Ollama is running", 200, TEXT)


async def version(exchange: Exchange) -> Response:
    """The version that this server is compatible with, from a setting; our own is in the ``Server`` header."""
    return json_reply({"version": exchange.front.settings.compatible_version})
