"""Who may see what operators see.

None of it is secret in the way a prompt is, but all of it tells what this machine does, and for how many. So it is for
programs on this machine that know whom they talk to.
"""

from typing import Any

from quart import Response

from service.http.cors import is_same_origin
from service.http.doors import Door
from service.http.errors import ApiError
from service.http.exchange import Exchange, Handler
from service.http.guard import is_loopback, machine_name, may_name

PROXY_HEADERS = ("Forwarded", "X-Forwarded-For", "X-Forwarded-Host", "X-Real-IP", "Via")
"""What a proxy adds: the connection then comes from this machine, whoever asks."""
ONLY_HERE = "this answers only to programs on the machine that the service runs on, under its own name"
ELSEWHERE = (
    "this answers on the service's admin listener only (setting admin_listen); the server's log names it at its start"
)


def gated(handler: Handler) -> Handler:
    """The handler, for those who may look."""

    async def look(exchange: Exchange, **arguments: Any) -> Response:
        judge(exchange)
        return await handler(exchange, **arguments)

    return look


def judge(exchange: Exchange) -> None:
    """Pass a request of somebody who may look.

    (1) This listener is for clients: nobody looks here.
    (2) A name that a stranger may own: a web page whose name was pointed at this machine.
    (3) A page that another server delivered, be it one that may use the API.
    (4) Where clients come too: another machine, or a proxy, behind which it may be.

    Raises:
        ApiError: 404 (1), 403 (others).
    """
    if exchange.door is Door.API:  # (1)
        raise ApiError(404, ELSEWHERE)
    host, origin = exchange.header("Host"), exchange.header("Origin")
    is_ours = may_name(host, machine_name()) and (not origin or is_same_origin(origin, host))  # (2) (3)
    if not is_ours or (exchange.door is Door.BOTH and not _is_from_here(exchange)):
        raise ApiError(403, ONLY_HERE)


def _is_from_here(exchange: Exchange) -> bool:  # (4)
    return is_loopback(exchange.peer) and not any(map(exchange.has_header, PROXY_HEADERS))
