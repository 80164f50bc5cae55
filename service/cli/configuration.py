"""The configuration file as a source of settings: one TOML value for each, under the name that the setting has.

Whoever wrote the file meant us, so what cannot be understood is an error and never ignored: a key that is no setting,
a value of the wrong type. Sections are not used: a setting has one name, and that is its whole address.
"""

import os
import re
import stat
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from service.cli.declarations import SETTINGS
from service.cli.folders import CONFIG, config_file, named_path, variable
from service.cli.literals import shown
from service.cli.nearest import nearest
from service.cli.setting import Setting
from service.cli.sources import Found, Origin, SourceKind
from statemachines.errors import ConfigError
from statemachines.units import KIB

FILE_BYTES_MAX = 256 * KIB
"""A file with every setting and a page of comments on each is smaller."""
_HINT = "`roundhouse config --example` shows them all"


class ConfigFile:
    """Settings in a file.

    Raises:
        ConfigError: there is a key that is no setting.
    """

    def __init__(self, path: Path, text: str, *, is_open_to_all: bool = False) -> None:
        self.path = path
        self._text = text
        self._is_open_to_all = is_open_to_all
        self._values = _parsed(path, text)
        known = {setting.name for setting in SETTINGS}
        if strangers := [name for name in self._values if name not in known]:
            raise ConfigError("; ".join(self._stranger(name) for name in strangers) + f"; {_HINT}")

    def find(self, setting: Setting) -> Found | None:
        if setting.name not in self._values:
            return None
        value, origin = self._values[setting.name], self._origin(setting.name)
        try:
            return Found(setting.kind.parse(setting.kind.literal.text(value)), origin)
        except ValueError:
            raise ConfigError(_refusal(setting, value, origin)) from None

    def warnings(self) -> Sequence[str]:
        words = (
            f"{self.path} can be changed by every user of this machine, who thereby decides who may connect and what "
            f"is served; take that right away: chmod o-w {self.path}"
        )
        return [words] if self._is_open_to_all else []

    def _stranger(self, name: str) -> str:
        what = (
            "is a table; settings stand in the file without one" if _is_table(self._values[name]) else "is no setting"
        )
        origin = self._origin(name)
        where = str(origin).removeprefix(name)  # a key in quotes may hold anything, a line's end too
        meant = _nearest(name)
        hint = f"; the nearest one is {meant}" if meant else ""
        return f"{name if name.isprintable() else shown(name)}{where}, {what}{hint}"

    def _origin(self, name: str) -> Origin:
        return Origin(SourceKind.FILE, name, self.path, _line(self._text, name))


def configuration(flag: object, environ: Mapping[str, str]) -> ConfigFile | None:
    """The configuration file, or None when there is none.

    Raises:
        ConfigError: it cannot be used.
    """
    return read_file(*configured_path(flag, environ))


def configured_path(flag: object, environ: Mapping[str, str]) -> tuple[Path, str]:
    """Which file is read, and who names it: a flag, else a variable, else it is the usual one (an empty string)."""
    for named_by, text in (("--config", str(flag or "")), (CONFIG, variable(environ, CONFIG))):
        if text:
            return named_path(named_by, text), named_by
    return config_file(environ), ""


def read_file(path: Path, named_by: str = "") -> ConfigFile | None:
    """The settings in a file; None when there is none and nobody said that there is one.

    Args:
        named_by: the flag or variable that names the file.

    Raises:
        ConfigError: it cannot be used.
    """
    try:
        with path.open("rb") as file:
            data = file.read(FILE_BYTES_MAX + 1)
            mode = os.fstat(file.fileno()).st_mode
    except OSError as error:
        if isinstance(error, FileNotFoundError) and not named_by:
            return None
        by = f", which {named_by} names," if named_by else ""
        raise ConfigError(f"the configuration file {path}{by} cannot be read ({error.strerror})") from None
    if len(data) > FILE_BYTES_MAX:
        raise ConfigError(f"the configuration file {path} is larger than {FILE_BYTES_MAX // KIB} KiB")
    return ConfigFile(path, _decoded(path, data), is_open_to_all=stat.S_ISREG(mode) and bool(mode & stat.S_IWOTH))


def _decoded(path: Path, data: bytes) -> str:
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        raise ConfigError(f"the configuration file {path} is not UTF-8 in line {line}") from None


def _parsed(path: Path, text: str) -> dict[str, Any]:
    import tomllib

    try:
        return tomllib.loads(text)
    except RecursionError:
        raise ConfigError(f"the configuration file {path} has values within values without end") from None
    except ValueError as error:
        raise ConfigError(
            f"the configuration file {path} is no TOML: {error}. A setting is a line such as wait_s = 60; text stands "
            'in quotes, such as keep_alive = "5m"'
        ) from None


def _refusal(setting: Setting, value: object, origin: Origin) -> str:
    name, where = setting.name, str(origin).removeprefix(setting.name)
    literal = setting.kind.literal
    is_quoted = isinstance(value, str) and str not in literal.types and not literal.word
    quotes = ", without quotes" if is_quoted else ""
    return f"{name} = {shown(value)}{where}, cannot be used: it must be {setting.kind.allowed_in_file}{quotes}"


def _is_table(value: object) -> bool:
    return isinstance(value, dict) or (isinstance(value, list) and any(isinstance(item, dict) for item in value))


def _line(text: str, name: str) -> int | None:
    """The first line that begins with the key, for people to find it; None where it is spelled another way."""
    found = re.search(rf"""^[ \t]*(?:\[+[ \t]*)?(["']?){re.escape(name)}\1[ \t]*[=.\]]""", text, re.MULTILINE)
    return None if found is None else text.count("\n", 0, found.start()) + 1


def _nearest(name: str) -> str | None:
    """The setting that was probably meant; Ollama's words for a setting count as its names."""
    names = {setting.name: setting.name for setting in SETTINGS}
    names |= {_word(setting): setting.name for setting in SETTINGS if setting.alias}
    found = nearest(name.lower(), names)
    return names[found] if found else None


def _word(setting: Setting) -> str:
    return setting.alias.removeprefix("ROUNDHOUSE_").lower()
