"""The flags of a command, made from the declared settings."""

from collections.abc import Callable, Sequence
from typing import Any, TypeVar

import click

from service.cli.declarations import SECTIONS, SETTINGS
from service.cli.folders import CONFIG, CONFIG_NAME
from service.cli.setting import Setting

_Command = TypeVar("_Command", bound=Callable[..., Any])


def setting_flags(*names: str) -> Callable[[_Command], _Command]:
    """One flag for each named setting, or for all; a flag that is not given arrives as None."""
    chosen = [setting for setting in SETTINGS if not names or setting.name in names]

    def decorate(command: _Command) -> _Command:
        for setting in reversed(chosen):
            command = _option(setting)(command)
        return command

    return decorate


def config_flag(command: _Command) -> _Command:
    """The flag that names the configuration file."""
    words = f"Read settings from this file. [default: <user config>/roundhouse/{CONFIG_NAME}; env: {CONFIG}]"
    return click.option("--config", metavar="FILE", help=words)(command)


def described(setting: Setting) -> str:
    """The help of one setting with its default and its variables."""
    return f"{setting.help} [default: {setting.default_words()}; env: {', '.join(env_names(setting))}]"


def env_names(setting: Setting) -> Sequence[str]:
    """The variables of a setting, the strongest first."""
    fallback = setting.fallback.env if setting.fallback is not None else ""
    return [name for name in (setting.env, setting.alias, fallback) if name]


def _option(setting: Setting) -> Callable[[_Command], _Command]:
    # Text is passed on as it is, so that a wrong flag and a wrong variable are refused in the same words.
    if not setting.kind.metavar:
        declaration = f"{setting.flag}/--no-{setting.flag[2:]}"
        return click.option(declaration, setting.name, default=None, help=described(setting))
    return click.option(setting.flag, setting.name, default=None, metavar=setting.kind.metavar, help=described(setting))


class SectionedCommand(click.Command):
    """A command whose help shows the settings by section."""

    def format_options(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write the options, one definition list for each section and one for what is in none."""
        records = {option.name: option.get_help_record(ctx) for option in self.get_params(ctx)}
        for section in SECTIONS:
            _write(formatter, section.title, [records.pop(setting.name, None) for setting in section.settings])
        _write(formatter, "Other", list(records.values()))


def _write(formatter: click.HelpFormatter, title: str, records: Sequence[tuple[str, str] | None]) -> None:
    rows = [record for record in records if record is not None]
    if rows:
        with formatter.section(title):
            formatter.write_dl(rows)
