"""``GET /debug/state``: who waits for what, and who holds it. For operators on this machine only."""

from typing import Any

import msgspec
from quart import Response

from service.front import Front
from service.http.durations import go_duration
from service.http.errors import ApiError
from service.http.exchange import Exchange
from service.http.guard import is_loopback, machine_name, may_name
from service.http.replies import json_reply
from service.http.times import rfc3339_local

_MOMENTS = frozenset(
    ("at", "until", "due", "granted_at", "expires_at", "born_at", "opened_at", "arrived_at", "deadline")
)


async def debug_state(exchange: Exchange) -> Response:
    """The state of everything. It holds no text of any prompt or answer, because the core never sees one.

    Who may look is judged by the peer, whatever the service listens on. A browser on this machine is such a peer too:
    where the service listens to other machines nobody has checked its ``Host`` yet, so it is checked here, always.

    Raises:
        ApiError: 403, the request comes from another machine, or from a page that may be a stranger's.
    """
    front = exchange.front
    if not is_loopback(exchange.peer) or not may_name(exchange.header("Host"), machine_name()):
        raise ApiError(403, "/debug/state answers only on the machine that the service runs on, under its own name")
    view = msgspec.to_builtins(front.snapshot())
    return json_reply({"engine": front.engine, **_readable(front, view)})


def _readable(front: Front, value: Any, name: str = "") -> Any:
    """The view with moments of core time as wall time and keep-alives as durations."""
    if isinstance(value, dict):
        return dict(_field(front, key, item) for key, item in value.items())
    if isinstance(value, list | tuple):
        return [_readable(front, item) for item in value]
    if name in _MOMENTS and isinstance(value, int):
        return rfc3339_local(front.wall_time_ns(value))
    return value


def _field(front: Front, name: str, value: Any) -> tuple[str, Any]:
    if name == "keep_alive_ns":
        return "keep_alive", go_duration(value)
    return name, _readable(front, value, name)
