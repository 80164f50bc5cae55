"""``GET /debug/state``: who waits for what, and who holds it."""

from typing import Any

import msgspec
from quart import Response

from service.front import Front
from service.http.durations import go_duration
from service.http.exchange import Exchange
from service.http.replies import json_reply
from service.http.times import rfc3339_local

_MOMENTS = frozenset(
    ("at", "until", "due", "granted_at", "expires_at", "born_at", "opened_at", "arrived_at", "deadline")
)


async def debug_state(exchange: Exchange) -> Response:
    """The state of everything. It holds no text of any prompt or answer, because the core never sees one."""
    front = exchange.front
    view = msgspec.to_builtins(front.snapshot())
    spare = msgspec.to_builtins(front.spare())
    return json_reply({"engine": front.engine, "spare": spare, **_readable(front, view)})


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
