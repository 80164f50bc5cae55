"""Starts a service: in a process of its own (`run`), or inside a trio program such as the command line (`serve`)."""

from collections.abc import Callable
from functools import partial

import trio

from service.config import Settings
from service.life import EXIT_INTERRUPTED, Service
from service.logs import make_log
from service.parts import Ports
from service.ready import Ready
from statemachines.errors import ConfigError, DeviceError

__all__ = ["Ports", "Ready", "run", "serve"]

EXIT_INTERNAL = 70
"""``EX_SOFTWARE``: a fault of our own; the journal says which."""


def run(settings: Settings, *, on_ready: Callable[[Ready], None] | None = None) -> int:
    """Serve until a signal ends it; the process's exit status.

    Raises:
        ConfigError, AddressTaken, DeviceError: as `serve`.
    """
    try:
        return trio.run(partial(serve, settings, on_ready=on_ready))
    except KeyboardInterrupt:
        # Before the signals were taken over: nothing has started yet.
        return EXIT_INTERRUPTED


async def serve(
    settings: Settings,
    *,
    on_ready: Callable[[Ready], None] | None = None,
    stop: trio.Event | None = None,
    takes_signals: bool = True,
    ports: Ports | None = None,
    task_status: trio.TaskStatus[Ready] = trio.TASK_STATUS_IGNORED,
) -> int:
    """Serve until told to stop; the exit status that a process should have.

    Cancelling it kills the runners; setting ``stop`` drains first, as SIGTERM does.

    Args:
        on_ready: called once, when requests are answered.
        takes_signals: SIGINT and SIGTERM are ours; False inside a command that handles them itself.
        ports: what talks to the system; fault tests put other things there.
        task_status: started with the same `Ready`.

    Raises:
        AddressTaken: another program listens there.
        ConfigError: a setting is wrong.
        DeviceError: the machine does not tell its memory.
    """
    log = make_log(log_format=settings.log_format, level=settings.log_level)
    service = Service(settings, log, ports)
    try:
        return await service.run(on_ready=on_ready, stop=stop, takes_signals=takes_signals, task_status=task_status)
    except ExceptionGroup as group:
        fault = _first_leaf(group)
        if isinstance(fault, (ConfigError, DeviceError)):
            raise fault from None
        log.error("the service ends because of a fault of its own; please report it", exc_info=fault)
        return EXIT_INTERNAL


def _first_leaf(group: BaseExceptionGroup[BaseException]) -> BaseException:
    first = group.exceptions[0]
    return _first_leaf(first) if isinstance(first, BaseExceptionGroup) else first
