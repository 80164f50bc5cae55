"""Who has our port? Asked when it is taken, so that the operator need not find out."""

import psutil
import trio

from service.cli.client import SERVER_PREFIX, open_http, server_name
from service.cli.listening import Place

_ANSWER_S = 2
"""A Roundhouse on this machine answers in milliseconds; who does not by then is another program."""


async def taken_words(place: Place) -> str:
    """Say who listens at ``place``: Roundhouse with version and pid, or another program."""
    with trio.move_on_after(_ANSWER_S):
        async with open_http(place.url) as http:
            name = await server_name(http)
            who = _roundhouse(name) if name.startswith(SERVER_PREFIX) else "another program"
            return _words(place, who, await _pid_words(place.port))
    return _words(place, "another program", await _pid_words(place.port))


def listener_pid(port: int) -> int | None:
    """The process that listens on a TCP port, or None where the system does not say (it is another user's)."""
    try:
        found = psutil.net_connections(kind="tcp")
    except (psutil.Error, OSError):
        return None
    return next((item.pid for item in found if item.status == psutil.CONN_LISTEN and item.laddr.port == port), None)


def _roundhouse(server: str) -> str:
    return f"Roundhouse {server.removeprefix(SERVER_PREFIX)}"


async def _pid_words(port: int) -> str:
    pid = await trio.to_thread.run_sync(listener_pid, port)
    return "" if pid is None else f" (pid {pid})"


def _words(place: Place, who: str, pid: str) -> str:
    return (
        f"port {place.port} is taken by {who}{pid}. Use that one, end it, or choose another port: "
        "roundhouse serve --port N (0 takes a free one)"
    )
