"""``roundhouse config``: the settings that `serve` would have with the same flags, and where each comes from."""

import os
from collections.abc import Callable, Sequence
from typing import Any

import click
import msgspec

from service.cli.declarations import SETTINGS
from service.cli.example import example
from service.cli.exits import WrongSetting
from service.cli.flags import SectionedCommand, config_flag, env_names, setting_flags
from service.cli.setting import Setting
from service.cli.settings import Resolved, home_layers, resolve, sources
from service.cli.sources import DEFAULT, Source
from service.cli.tables import table
from statemachines.errors import ConfigError


@click.command(cls=SectionedCommand)
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object, for programs.")
@click.option("--example", "is_example", is_flag=True, help="Print a configuration file with every default.")
@click.option("--check", metavar="FILE", help="As --config FILE, but only say whether `serve` could start with it.")
@config_flag
@setting_flags()
def config(as_json: bool, is_example: bool, check: str | None, **flags: Any) -> None:
    """Show every setting and where it comes from.

    It is what `serve` would have with the same flags. A setting that cannot be used ends it with status 2 and the same
    words as `serve`.
    """
    if is_example:
        click.echo(example(_resolved(lambda: home_layers(os.environ)).values), nl=False)
        return
    if check == "":
        raise WrongSetting("--check names no file")
    resolved = _resolved(lambda: sources({**flags, "config": flags["config"] if check is None else check}))
    for warning in resolved.warnings:
        click.echo(f"Warning: {warning}", err=True)
    if check is not None:
        click.echo(f"{check}: `serve` can start with it")
    else:
        click.echo(_as_json(resolved) if as_json else _as_table(resolved), nl=False)


def _resolved(layers: Callable[[], Sequence[Source]]) -> Resolved:
    try:
        return resolve(layers())
    except ConfigError as error:
        raise WrongSetting(str(error)) from error


def _as_table(resolved: Resolved) -> str:
    rows = [(setting.name, _shown(setting, resolved), _source(resolved, setting)) for setting in SETTINGS]
    return table(("SETTING", "VALUE", "SOURCE"), rows)


def _shown(setting: Setting, resolved: Resolved) -> str:
    return setting.kind.show(resolved.values[setting.name]) or "none"


def _source(resolved: Resolved, setting: Setting) -> str:
    origin = resolved.origins[setting.name]
    return "default" if origin == DEFAULT else str(origin)


def _as_json(resolved: Resolved) -> str:
    """Values are written as they would stand in a file."""
    view = {
        "file": resolved.file and str(resolved.file),
        "settings": [_view(setting, resolved) for setting in SETTINGS],
        "warnings": resolved.warnings,
    }
    return msgspec.json.format(msgspec.json.encode(view)).decode() + "\n"


def _view(setting: Setting, resolved: Resolved) -> dict[str, object]:
    origin = resolved.origins[setting.name]
    return {
        "name": setting.name,
        "value": setting.kind.plain(resolved.values[setting.name]),
        "source": origin.kind,
        "origin": origin.name or None,
        "file": origin.file and str(origin.file),
        "line": origin.line,
        "default": setting.kind.plain(setting.default()),
        "flag": setting.flag,
        "variables": env_names(setting),
    }
