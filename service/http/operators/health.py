"""``GET /health``: may requests be sent here? For whatever spreads them, so it has no details and no gate."""

from quart import Response

from service.http.exchange import Exchange
from service.http.replies import json_reply
from statemachines.errors import RequestRefused


async def health(exchange: Exchange) -> Response:
    """200 when the scheduler has answered just now and takes requests; 503 with the reason otherwise.

    Raises:
        RequestRefused: it has not, or it does not.
    """
    refusal = await exchange.lookout.health.refusal()
    if refusal is not None:
        raise RequestRefused(refusal)
    return json_reply({"status": "ok"})
