"""Where settings come from, in order: the environment of Ollama's users, our own, the command line.

A source answers with text and with the name a person would look for. A configuration file becomes one more source
in `settings.resolve`'s list; nothing else has to change for it.
"""

import difflib
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Protocol

import msgspec

from service.cli.declarations import SETTINGS, Setting
from statemachines.errors import ConfigError


class Found(msgspec.Struct, frozen=True):
    """A value and where it comes from: ``--wait-s``, ``ROUNDHOUSE_WAIT_S``, or ``the default``."""

    value: Any
    origin: str


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
        return parsed(setting, setting.flag, given if isinstance(given, str) else setting.kind.show(given))

    def warnings(self) -> Sequence[str]:
        return ()


class Environment:
    """Our own variables, ``ROUNDHOUSE_*``."""

    def __init__(self, environ: Mapping[str, str]) -> None:
        self._environ = environ

    def find(self, setting: Setting) -> Found | None:
        for name in filter(None, (setting.env, setting.alias)):
            if text := trimmed(self._environ.get(name, "")):
                return parsed(setting, name, text)
        return None

    def warnings(self) -> Sequence[str]:
        known = {name for setting in SETTINGS for name in (setting.env, setting.alias)}
        strangers = [name for name in self._environ if name.startswith("ROUNDHOUSE_") and name not in known]
        return [_unknown(name, known) for name in sorted(strangers)]


class OllamaEnvironment:
    """Ollama's variables, for those who move from it; read as leniently as Ollama reads them."""

    def __init__(self, environ: Mapping[str, str]) -> None:
        self._environ = environ
        self._ignored: dict[str, str] = {}

    def find(self, setting: Setting) -> Found | None:
        if setting.fallback is None:
            return None
        text = trimmed(self._environ.get(setting.fallback.env, ""))
        value = self._lenient(setting, text) if text else None
        return None if value is None else Found(value, setting.fallback.env)

    def warnings(self) -> Sequence[str]:
        known = {setting.fallback.env for setting in SETTINGS if setting.fallback is not None}
        others = sorted(name for name in self._environ if name.startswith("OLLAMA_") and name not in known)
        unused = [f"{', '.join(others)}: set, but not read by Roundhouse; `serve --help` lists what is"]
        return [*self._ignored.values(), *(unused if others else ())]

    def _lenient(self, setting: Setting, text: str) -> Any:
        assert setting.fallback is not None
        try:
            return setting.fallback.parse(text)
        except ValueError:
            name = setting.fallback.env
            self._ignored[name] = f"{name}={text!r} is ignored: it must be {setting.kind.allowed}"
            return None


def parsed(setting: Setting, origin: str, text: str) -> Found:
    """The value that ``text`` means.

    Raises:
        ConfigError: it means none.
    """
    try:
        return Found(setting.kind.parse(text.strip()), origin)
    except ValueError:
        raise ConfigError(f"{origin}={text!r} cannot be used: it must be {setting.kind.allowed}") from None


def trimmed(text: str) -> str:
    """``text`` without spaces and quotes around it, which wrappers of environment files leave there."""
    return text.strip().strip("\"'")


def _unknown(name: str, known: Iterable[str]) -> str:
    close = difflib.get_close_matches(name, sorted(filter(None, known)), n=1)
    hint = f"; did you mean {close[0]}?" if close else "; `serve --help` lists what there is"
    return f"{name} is no setting of Roundhouse{hint}"
