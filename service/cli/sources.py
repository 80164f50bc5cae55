"""What a source of settings is, and the strongest one: the command line.

A source answers with a value and with the name a person would look for. `settings.sources` has them in order.
"""

from collections.abc import Mapping, Sequence
from enum import StrEnum
from pathlib import Path
from typing import Any, Protocol

import msgspec

from service.cli.setting import Setting
from statemachines.errors import ConfigError


class SourceKind(StrEnum):
    """The sources there are, as `roundhouse config --json` calls them."""

    DEFAULT = "default"
    FILE = "file"
    ENVIRONMENT = "environment"
    FLAG = "flag"


class Origin(msgspec.Struct, frozen=True):
    """Who says so.

    Attributes:
        name: the flag, variable or key; empty for a default.
        file, line: where the key stands; the line is None where it could not be told.
    """

    kind: SourceKind = SourceKind.DEFAULT
    name: str = ""
    file: Path | None = None
    line: int | None = None

    def __str__(self) -> str:
        if self.kind is SourceKind.DEFAULT:
            return "the default"
        line = "" if self.line is None else f", line {self.line}"
        return self.name if self.file is None else f"{self.name} in {self.file}{line}"


DEFAULT = Origin()


class Found(msgspec.Struct, frozen=True):
    """A value and where it comes from."""

    value: Any
    origin: Origin


class Source(Protocol):
    """One place where settings are written."""

    def find(self, setting: Setting) -> Found | None:
        """The value this source gives, or None.

        Raises:
            ConfigError: it gives one that cannot be used.
        """

    def warnings(self) -> Sequence[str]:
        """What a person should know about this source; asked once, after all settings were looked for."""


class Flags:
    """The command line."""

    def __init__(self, given: Mapping[str, object]) -> None:
        self._given = given

    def find(self, setting: Setting) -> Found | None:
        given = self._given.get(setting.name)
        if given is None:
            return None
        origin = Origin(SourceKind.FLAG, setting.flag)
        return parsed(setting, origin, given if isinstance(given, str) else setting.kind.show(given))

    def warnings(self) -> Sequence[str]:
        return ()


def parsed(setting: Setting, origin: Origin, text: str) -> Found:
    """The value that ``text`` means.

    Raises:
        ConfigError: it means none.
    """
    try:
        text.encode()  # Whatever it is, it is going to be written: into a log, into JSON.
        return Found(setting.kind.parse(text.strip()), origin)
    except ValueError:
        raise ConfigError(f"{origin}={text!r} cannot be used: it must be {setting.kind.allowed}") from None


def strongest(setting: Setting, layers: Sequence[Source]) -> tuple[Found, int] | None:
    """What the strongest source that has it says of a setting, and that source's place among all."""
    for rank in reversed(range(len(layers))):
        if (found := layers[rank].find(setting)) is not None:
            return found, rank
    return None
