"""A server inside this very process, for `run` when none is running: it lives as long as the command."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path

import msgspec
import trio

from service.cli.exits import WrongSetting
from service.cli.settings import make_folders, resolve, sources
from service.config import Settings
from statemachines.errors import ConfigError


def embedded_settings() -> Settings:
    """The user's settings, but on a free port of this machine, quiet, and with the demo model.

    Raises:
        WrongSetting: one cannot be used.
    """
    try:
        # The variables may ask to listen to others or on a taken port: that is meant for `serve`.
        resolved = resolve(sources({"host": "127.0.0.1", "port": "0"}))
        settings = msgspec.structs.replace(resolved.settings, demo=True, log_level="error")
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
    from service.main import serve

    settings = embedded_settings()
    stop = trio.Event()
    failure: Exception | None = None
    async with trio.open_nursery() as nursery:
        ready = await nursery.start(partial(serve, settings, stop=stop, takes_signals=False))
        try:
            yield ready.address, settings.models
        except Exception as error:
            failure = error
        stop.set()
    if failure is not None:
        raise failure
