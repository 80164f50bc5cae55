"""``GET /metrics``: what Prometheus scrapes."""

from quart import Response

from service.http.exchange import Exchange
from service.http.replies import reply
from service.metrics.registry import CONTENT_TYPE


async def metrics(exchange: Exchange) -> Response:
    """Every metric as of now, in Prometheus' text format."""
    return reply(exchange.lookout.metrics(), 200, CONTENT_TYPE)
