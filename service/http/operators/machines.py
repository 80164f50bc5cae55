"""``GET /debug/machines``: every state machine as one Mermaid diagram, with those who are in it now."""

from quart import Response

from service.http.exchange import Exchange
from service.http.replies import TEXT, reply
from service.spare import SpareView
from statemachines.diagrams import marked
from statemachines.occupants import Place, occupants


async def debug_machines(exchange: Exchange) -> Response:
    """The machines as they are drawn in the reference, the states that somebody is in marked."""
    front = exchange.front
    found = occupants(front.snapshot()) | _spare(front.spare())
    return reply(marked(found).encode() + b"\n", 200, TEXT)


def _spare(view: SpareView) -> dict[Place, list[str]]:
    """The one machine that the core's snapshot knows nothing of; nobody is in it where no spare is kept."""
    words = "nobody" if view.pid is None else f"process {view.pid}"
    return {("spare", view.state): [words]}
