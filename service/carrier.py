"""Carries the HTTP application until the service ends, and lets no client hold up that end."""

import socket
from collections.abc import Awaitable, Callable
from functools import partial

import trio
from hypercorn.trio.worker_context import WorkerContext
from quart import Quart
from structlog.typing import FilteringBoundLogger

from service.config import Settings
from service.connection import Connection
from service.connections import Connections
from service.http.app import hypercorn_config
from service.logs import foreign_logger
from service.seldom import Seldom
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
    """The HTTP server as a task of ours: hypercorn's protocol behind an accept loop that counts.

    Args:
        connections_max: clients that may be connected at once [count].
        new_label: a request id for an answer that never reaches the application.

    Attributes:
        closed: every connection has ended by itself.
    """

    def __init__(
        self,
        settings: Settings,
        log: FilteringBoundLogger,
        *,
        connections_max: int,
        new_label: Callable[[], str],
    ) -> None:
        self._settings = settings
        self._log = log
        self._connections_max = connections_max
        self._new_label = new_label
        self.closed = trio.Event()

    async def run(
        self,
        app: Quart,
        listener: socket.socket,
        closing: trio.Event,
        *,
        task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED,
    ) -> None:
        """Answer on a listening socket until ``closing``; then what is under way goes on for as long as the core's end.

        Args:
            listener: is closed when no more connections are taken.
        """
        context = WorkerContext(None)
        connections = self._connections(app, context)
        async with trio.open_nursery() as nursery:
            nursery.start_soon(_cut_at_end, connections)
            async with trio.open_nursery() as clients:
                await self._accept(connections.serve, listener, clients, closing, task_status)
                await context.terminated.set()
                connections.hurry()
                clients.cancel_scope.deadline = trio.current_time() + end_s(self._settings.limits)
            self.closed.set()
            nursery.cancel_scope.cancel()

    def _connections(self, app: Quart, context: WorkerContext) -> Connections:
        config = hypercorn_config(self._settings, self._label_of_the_parser)
        config.errorlog = foreign_logger("hypercorn.error", self._log)
        return Connections(
            self._connections_max,
            connect=partial(
                Connection, app=app, config=config, context=context, settings=self._settings, log=self._log
            ),
            headers=partial(config.response_headers, "h11"),
            log=self._log,
        )

    async def _accept(
        self,
        serve: Callable[[trio.SocketStream], Awaitable[None]],
        listener: socket.socket,
        clients: trio.Nursery,
        closing: trio.Event,
        task_status: trio.TaskStatus[None],
    ) -> None:
        # It says ten times a second that no connection can be accepted, when there is no descriptor left.
        foreign_logger("trio.serve_listeners", self._log, Seldom())
        listeners = [trio.SocketListener(trio.socket.from_stdlib_socket(listener))]
        async with trio.open_nursery() as nursery:
            await nursery.start(partial(trio.serve_listeners, serve, listeners, handler_nursery=clients))
            task_status.started()
            await closing.wait()
            nursery.cancel_scope.cancel()

    def _label_of_the_parser(self) -> str:
        label = self._new_label()
        self._log.debug("answered by the HTTP parser", request=label)
        return label


async def _cut_at_end(connections: Connections) -> None:
    """A client that reads nothing holds its answer in a send that cannot be cancelled: end its connection."""
    try:
        await trio.sleep_forever()
    finally:
        connections.cut()
