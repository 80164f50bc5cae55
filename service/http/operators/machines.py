"""``GET /debug/machines``: every state machine as one Mermaid diagram, with those who are in it now."""

from quart import Response

from service.http.exchange import Exchange
from service.http.replies import TEXT, reply
from statemachines.diagrams import marked
from statemachines.occupants import occupants


async def debug_machines(exchange: Exchange) -> Response:
    """The machines as they are drawn in the reference, the states that somebody is in marked."""
    return reply(marked(occupants(exchange.front.snapshot())).encode() + b"\n", 200, TEXT)
