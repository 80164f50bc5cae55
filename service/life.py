"""The life of one service: one nursery, in which reactor, sampler and HTTP server are siblings.

The order of the start: the port is bound (so that a taken one is known at once), the core gets its first figures of
memory, the HTTP server answers, the core opens. An order to stop before that breaks off the start. The order of the end
is the core's: it refuses, drains, terminates, kills; when it lets go, HTTP gets a moment to finish its last lines and
is cut. Nothing waits for HTTP.
"""

import signal
from collections.abc import AsyncIterator, Callable
from contextlib import ExitStack
from functools import partial

import trio
from structlog.typing import FilteringBoundLogger

from service.aftermath import clear_up
from service.config import Settings
from service.descriptor_limit import raise_descriptor_limit
from service.listeners import Listeners
from service.parts import Parts, Ports
from service.ready import Ready, address_of
from service.state.owner import Owner, this_process
from service.version import own_version
from statemachines.events import ServiceOpened, ShutdownOrdered
from statemachines.units import RunnerId

SIGNALS = (signal.SIGINT, signal.SIGTERM)
EXIT_DONE = 0
EXIT_INTERRUPTED = 130
"""128 + SIGINT: the runners were killed on demand."""


class Service:
    """One service from its first socket to its last line.

    Args:
        ports: what talks to the system; the real things by default.

    Attributes:
        parts: what it is made of.
    """

    def __init__(self, settings: Settings, log: FilteringBoundLogger, ports: Ports | None = None) -> None:
        self._settings = settings
        self._log = log
        self.parts = Parts(settings, log, ports)
        self._exit_code = EXIT_DONE
        self._orders = 0
        self._starting = trio.CancelScope()
        self._is_open = False
        self._draining = trio.Event()
        self._finished = trio.Event()

    async def run(
        self,
        *,
        on_ready: Callable[[Ready], None] | None,
        stop: trio.Event | None,
        takes_signals: bool,
        task_status: trio.TaskStatus[Ready] = trio.TASK_STATUS_IGNORED,
    ) -> int:
        """From the first bound socket to the last line; see `serve`."""
        parts = self.parts
        listeners = parts.listeners(raise_descriptor_limit())
        with listeners, ExitStack() as held:
            # First in, last out: who is told to stop once more while tidying up must not leave the rest lying about.
            signals = held.enter_context(trio.open_signal_receiver(*SIGNALS)) if takes_signals else None
            host, port = listeners.address
            before = parts.state.open(this_process(address_of(host, port), parts.clock.wall_ns()))
            held.callback(parts.state.close)
            held.enter_context(listeners.operators(parts.state.writable()))
            parts.store.open()
            async with trio.open_nursery() as nursery:
                with self._starting:
                    self._listen_to_orders(nursery, signals, stop)
                    await self._clear_up(before)  # Before memory is read: what orphans hold is about to be free.
                    behind = partial(self._settle, nursery, listeners, held)
                    nursery.start_soon(parts.state.take_over, behind, parts.clock)
                    await self._start(nursery)
                    await listeners.open(
                        nursery, parts.desk, parts.lookout, closing=self._draining, over=self._finished
                    )
                if self._starting.cancel_called:
                    self._log.info("stopped before it was ready")
                    parts.journal.close()
                    nursery.cancel_scope.cancel()
                    return self._exit_code
                self._is_open = True
                parts.reactor.post(ServiceOpened())
                models, threads = len(parts.store.models()), self._settings.limits.cpu_threads
                ready = Ready(host, port, models, parts.desk.engine, threads, listeners.admin)
                self._announce(ready, on_ready, task_status)
                await self._finished.wait()
                await listeners.closed()
                nursery.cancel_scope.cancel()
        return self._exit_code

    # The start

    def _listen_to_orders(
        self, nursery: trio.Nursery, signals: AsyncIterator[int] | None, stop: trio.Event | None
    ) -> None:
        if signals is not None:
            nursery.start_soon(self._watch_signals, signals)
        if stop is not None:
            nursery.start_soon(self._watch_stop, stop)

    async def _start(self, nursery: trio.Nursery) -> None:
        """Everything but HTTP; returns when the core has its first figures of memory."""
        parts = self.parts
        runners = parts.runners(nursery)
        nursery.start_soon(parts.reactor.run, parts.executor(runners, self._finish).perform)
        await nursery.start(parts.sampler.run, runners.pids)
        nursery.start_soon(parts.store.run)
        if parts.spare is not None:
            nursery.start_soon(parts.spare.run)

    async def _clear_up(self, before: Owner | None) -> None:
        await clear_up(before, self._settings.state, self._log)

    async def _settle(self, nursery: trio.Nursery, listeners: Listeners, held: ExitStack, before: Owner | None) -> None:
        """The state folder has become ours after the start: clear up, and let operators in there if nowhere else."""
        await self._clear_up(before)
        if not listeners.miss_operators:
            return
        held.enter_context(listeners.operators(self.parts.state.writable()))
        if self._is_open:
            await listeners.open_operators(nursery, self.parts.desk, self.parts.lookout, over=self._finished)
        if not listeners.miss_operators:
            self._log.info("operators have a listener now", admin=listeners.admin)

    def _announce(
        self, ready: Ready, on_ready: Callable[[Ready], None] | None, task_status: trio.TaskStatus[Ready]
    ) -> None:
        default = self.parts.desk.context_default
        self._log.info("default context", tokens=default.tokens, automatic=default.is_automatic, why=default.why)
        self._log.info(
            "ready",
            address=ready.address,
            models=ready.models,
            engine=ready.engine or "none installed",
            threads=ready.threads,
            admin=ready.admin,
            version=own_version(),
        )
        if on_ready is not None:
            on_ready(ready)
        task_status.started(ready)

    # The end

    async def _watch_signals(self, numbers: AsyncIterator[int]) -> None:
        async for number in numbers:
            self._order_shutdown(signal.Signals(number).name)

    async def _watch_stop(self, stop: trio.Event) -> None:
        await stop.wait()
        self._order_shutdown("stop")

    def _order_shutdown(self, by: str) -> None:
        """The first order drains, the second kills."""
        self._orders += 1
        is_forced = self._orders > 1
        self._log.info("stopping at once" if is_forced else "stopping", by=by)
        if is_forced:
            self._exit_code = EXIT_INTERRUPTED
        if not self._is_open:
            self._starting.cancel()
            return
        self._draining.set()
        if self.parts.spare is not None:
            self.parts.spare.close()
        self.parts.reactor.post(ShutdownOrdered(force=is_forced))

    def _finish(self, unreapable: tuple[RunnerId, ...]) -> None:
        """The core has let go."""
        if unreapable:
            self._log.error("stopped; runners that even SIGKILL did not end are left behind", runners=unreapable)
        else:
            self._log.info("stopped")
        self.parts.journal.close()
        self._finished.set()
