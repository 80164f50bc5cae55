"""Carries the HTTP application until the service ends, and lets no client hold up that end."""

from collections.abc import Callable

import trio
from hypercorn.trio import serve as serve_app
from quart import Quart
from structlog.typing import FilteringBoundLogger

from service.config import Settings
from service.http.app import hypercorn_config
from service.listener import cut_connections
from service.logs import foreign_logger
from statemachines.limits import Limits
from statemachines.units import NS_PER_S

HTTP_CLOSE_S = 1
"""After the last lease has ended: what HTTP may take to write its last lines."""


def end_s(limits: Limits) -> float:
    """How long answers may go on once the service closes: until the core has let go at the latest, and the last lines.

    Why not the drain limit alone: in that instant leases only begin to end. A runner that is asked to end may take its
    grace, one that is killed a moment more, and only then do their clients hear why.
    """
    rungs_ns = limits.shutdown_drain_ns + limits.stop_grace_ns + limits.kill_grace_ns
    return rungs_ns / NS_PER_S + HTTP_CLOSE_S


class Carrier:
    """The HTTP server as a task of ours.

    Args:
        new_label: a request id for an answer that never reaches the application.

    Attributes:
        closed: every connection has ended by itself.
    """

    def __init__(self, settings: Settings, log: FilteringBoundLogger, *, new_label: Callable[[], str]) -> None:
        self._settings = settings
        self._log = log
        self._new_label = new_label
        self.closed = trio.Event()

    async def run(
        self,
        app: Quart,
        fd: int,
        port: int,
        closing: trio.Event,
        *,
        task_status: trio.TaskStatus[list[str]] = trio.TASK_STATUS_IGNORED,
    ) -> None:
        """Answer on a listening socket until ``closing``; then what is under way goes on for as long as the core's end.

        Args:
            fd: of the listening socket, which is taken over.
        """
        config = hypercorn_config(self._settings, self._label_of_the_parser)
        config.bind = [f"fd://{fd}"]
        config.errorlog = foreign_logger("hypercorn.error", self._log)
        foreign_logger("trio.serve_listeners", self._log)  # says it when no more connections can be accepted
        config.graceful_timeout = end_s(self._settings.limits)
        async with trio.open_nursery() as nursery:
            nursery.start_soon(self._cut_at_end, port)
            await serve_app(app, config, shutdown_trigger=closing.wait, task_status=task_status)
            self.closed.set()
            nursery.cancel_scope.cancel()

    def _label_of_the_parser(self) -> str:
        label = self._new_label()
        self._log.debug("answered by the HTTP parser", request=label)
        return label

    async def _cut_at_end(self, port: int) -> None:
        """A client that reads nothing holds the server in a send that cannot be cancelled: end its connection."""
        try:
            await trio.sleep_forever()
        finally:
            cut_connections(port)
