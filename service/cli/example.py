"""A configuration file to start from: every setting with its default, each line a comment until it is wanted."""

import textwrap
from collections.abc import Iterator, Mapping
from typing import Any

from service.cli.declarations import SECTIONS
from service.cli.literals import toml
from service.cli.setting import Setting

_WIDTH = 80
_HEAD = (
    "Settings of Roundhouse, each with its default. A line counts once the # before its name is gone. A flag and an "
    "environment variable outrank it. `roundhouse config` shows what holds, and why."
)


def example(defaults: Mapping[str, Any]) -> str:
    """The file.

    Args:
        defaults: by the names of settings; some depend on the machine.
    """
    return "".join(f"{line}\n" for line in _lines(defaults))


def _lines(defaults: Mapping[str, Any]) -> Iterator[str]:
    yield from _comment(_HEAD)
    for section in SECTIONS:
        yield from ("", "", f"# {section.title}")
        for setting in section.settings:
            yield ""
            yield from _comment(_words(setting))
            yield f"#{setting.name} = {toml(setting.kind.plain(defaults[setting.name]))}"


def _words(setting: Setting) -> str:
    default = f" Default: {setting.computed_words}, here:" if setting.computed_words else ""
    allowed = setting.kind.allowed_in_file
    return f"{setting.help} {allowed[:1].upper()}{allowed[1:]}.{default}"


def _comment(words: str) -> list[str]:
    return textwrap.wrap(words, _WIDTH, initial_indent="# ", subsequent_indent="# ", break_on_hyphens=False)
