"""``roundhouse serve``: check the settings, then hand over to the service."""

import gc
import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import click
import trio

from service.cli.exits import CommandFailed, WrongSetting
from service.cli.flags import SectionedCommand, config_flag, setting_flags
from service.cli.folders import make_folders
from service.cli.listening import Place, resolve_place
from service.cli.notify import say_ready
from service.cli.settings import Resolved, resolve, sources
from service.ready import Ready
from statemachines.errors import ConfigError, DeviceError


@click.command(cls=SectionedCommand)
@config_flag
@setting_flags()
def serve(**flags: Any) -> None:
    """Serve the models of a folder over HTTP until stopped.

    A setting is taken from its flag, else from its environment variable, else from Ollama's variable where there is
    one, else from the configuration file, else it has its default. `roundhouse config` shows what comes of it.
    ROUNDHOUSE_HOME names one folder for settings, models and state.
    """
    try:
        layers = sources(flags)
        resolved = resolve(layers)
        made = make_folders(resolved.settings)
    except ConfigError as error:
        raise WrongSetting(str(error)) from error
    sys.exit(_start(resolved, made, resolve_place(layers)))


def _start(resolved: Resolved, made: Sequence[Path], place: Place) -> int:
    """Run the service; its exit status is ours."""
    from service.listener import AddressTaken
    from service.main import run

    _remark(resolved, made)
    try:
        return run(resolved.settings, on_ready=_on_ready)
    except AddressTaken as error:
        from service.cli.neighbour import taken_words

        raise CommandFailed(trio.run(taken_words, place)) from error
    except ConfigError as error:
        raise WrongSetting(str(error)) from error
    except DeviceError as error:
        raise CommandFailed(str(error)) from error


def _on_ready(ready: Ready) -> None:
    """Tell who has started us; and what is there now stays, so let Python not look through it again and again.

    No token passes while it looks through all objects of the modules.
    """
    gc.freeze()
    say_ready(ready, os.environ)


def _remark(resolved: Resolved, made: Sequence[Path]) -> None:
    from service.logs import make_log

    log = make_log(log_format=resolved.settings.log_format, level=resolved.settings.log_level)
    if resolved.file is not None:
        log.info("settings read", file=str(resolved.file))
    for warning in resolved.warnings:
        log.warning("settings", hint=warning)
    for folder in made:
        log.info("made on the first start", folder=str(folder))
