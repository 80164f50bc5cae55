"""Where the service answers: one listener for clients, and where others than this machine reach it, one for operators.

The main listener closes when the service begins to stop. That of operators goes on until the core has let go: the end
of a service is when they want to look.
"""

import socket
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import trio
from structlog.typing import FilteringBoundLogger

from service.admin_listener import admin_listener, shown
from service.carrier import HTTP_CLOSE_S, Carrier
from service.config import Settings
from service.connections import connections_max
from service.front import Front
from service.http.app import create_app
from service.http.doors import Door
from service.http.guard import listens_locally
from service.listener import bind
from service.operators.lookout import Lookout

ADMIN_CONNECTIONS_MAX = 32
"""On the operators' own listener [count]: followers, a scraper, a person."""


class Listeners:
    """The listeners of one service, and what each of them shows.

    Args:
        descriptors: how many this process may have [count].
        new_label: a request id for an answer that never reaches the application.
    """

    def __init__(
        self, settings: Settings, log: FilteringBoundLogger, *, descriptors: int, new_label: Callable[[], str]
    ) -> None:
        self._settings = settings
        self._log = log
        self._main: socket.socket | None = None
        self._admin: socket.socket | None = None
        self._clients = Carrier(
            settings,
            log,
            connections_max=connections_max(descriptors, settings.connections_max),
            new_label=new_label,
        )
        self._operators = Carrier(settings, log, connections_max=ADMIN_CONNECTIONS_MAX, new_label=new_label)

    def __enter__(self) -> "Listeners":
        """Bind the main one.

        Raises:
            AddressTaken, ConfigError: see `service.listener.bind`.
        """
        self._main = bind(self._settings)
        return self

    def __exit__(self, *_: object) -> None:
        assert self._main is not None, "not bound yet"
        self._main.close()

    @contextmanager
    def operators(self, folder: Path | None) -> Iterator[None]:
        """Bind that of operators, if they have one, until the context ends.

        Args:
            folder: the state folder, if this server may write to it.

        Raises:
            ConfigError: see `service.admin_listener.admin_listener`.
        """
        with admin_listener(self._settings, folder, self._log) as self._admin:
            yield

    @property
    def address(self) -> tuple[str, int]:
        """Where clients are answered."""
        assert self._main is not None, "not bound yet"
        host, port = self._main.getsockname()[:2]
        return host, port

    @property
    def admin(self) -> str:
        """Where operators are answered."""
        if self._admin is not None:
            return shown(self._admin)
        assert self._main is not None, "not bound yet"
        return shown(self._main) if self._is_for_both else "nowhere"

    @property
    def miss_operators(self) -> bool:
        """Operators are answered nowhere."""
        return self._admin is None and not self._is_for_both

    @property
    def _is_for_both(self) -> bool:
        return self._admin is None and listens_locally(self._settings.host)

    async def open(
        self, nursery: trio.Nursery, front: Front, lookout: Lookout, *, closing: trio.Event, over: trio.Event
    ) -> None:
        """Answer; clients until ``closing``, operators until ``over``."""
        door = Door.BOTH if self._is_for_both else Door.API
        app = create_app(front, lookout=lookout, door=door, log=self._log)
        await nursery.start(self._clients.run, app, self._main, closing)
        await self.open_operators(nursery, front, lookout, over=over)

    async def open_operators(self, nursery: trio.Nursery, front: Front, lookout: Lookout, *, over: trio.Event) -> None:
        """Answer those who have a listener of their own until ``over``; for `open`, and when they got theirs later."""
        if self._admin is not None:
            app = create_app(front, lookout=lookout, door=Door.OPERATORS, log=self._log)
            await nursery.start(self._operators.run, app, self._admin, over)

    async def closed(self) -> None:
        """Return when every connection has ended by itself, or when they have had their time for it."""
        with trio.move_on_after(HTTP_CLOSE_S):
            await self._clients.closed.wait()
            if self._admin is not None:
                await self._operators.closed.wait()
