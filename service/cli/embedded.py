"""A server inside this very process, for `run` when none is running: it lives as long as the command."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec
import trio

from service.cli.exits import CommandFailed, WrongSetting
from service.cli.folders import make_folders
from service.cli.settings import resolve, sources
from service.config import Settings
from statemachines.errors import ConfigError, DeviceError

if TYPE_CHECKING:
    from service.ready import Ready


def embedded_settings() -> Settings:
    """The user's settings, but on a free port of this machine, quiet, without a spare, and with the demo model.

    Raises:
        WrongSetting: one cannot be used.
    """
    try:
        # The variables may ask to listen to others or on a taken port: that is meant for `serve`.
        resolved = resolve(sources({"host": "127.0.0.1", "port": "0"}))
        # One command, one load: a spare would be warm when nobody needs it any more, and nobody operates it.
        settings = msgspec.structs.replace(
            resolved.settings, demo=True, log_level="error", spare=False, admin_listen=None
        )
        make_folders(settings)
    except ConfigError as error:
        raise WrongSetting(str(error)) from error
    return settings


@asynccontextmanager
async def embedded_server() -> AsyncIterator[tuple[str, Path]]:
    """URL and models folder of a server that answers until the context ends.

    At the end it drains, as after SIGTERM, also when the context ends with an error: the runners end in order and
    nothing is logged about it. Only a cancelled context kills them.
    """
    settings = embedded_settings()
    stop = trio.Event()
    failure: Exception | None = None
    async with trio.open_nursery() as nursery:
        ready = await nursery.start(_serve, settings, stop)
        try:
            yield ready.address, settings.models
        except Exception as error:
            failure = error
        stop.set()
    if failure is not None:
        raise failure


async def _serve(settings: Settings, stop: trio.Event, *, task_status: "trio.TaskStatus[Ready]") -> None:
    """Be the server; what keeps it from starting is told as the command's own failure.

    Raises:
        WrongSetting, CommandFailed: it cannot be started.
    """
    from service.main import serve

    try:
        await serve(settings, stop=stop, takes_signals=False, task_status=task_status)
    except ConfigError as error:
        raise WrongSetting(str(error)) from error
    except DeviceError as error:
        raise CommandFailed(str(error)) from error
