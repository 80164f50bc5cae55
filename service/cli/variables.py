"""The environment as a source of settings: our own variables, Ollama's, and the folder that all others lie in."""

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from service.cli.declarations import SETTINGS
from service.cli.folders import CONFIG, HOME, variable
from service.cli.nearest import nearest
from service.cli.ollama import unread_words
from service.cli.setting import Setting
from service.cli.sources import Found, Origin, SourceKind, parsed

_OURS = "ROUNDHOUSE_"


class Environment:
    """Our own variables, ``ROUNDHOUSE_*``."""

    def __init__(self, environ: Mapping[str, str]) -> None:
        self._environ = environ

    def find(self, setting: Setting) -> Found | None:
        for name in filter(None, (setting.env, setting.alias)):
            if text := variable(self._environ, name):
                return parsed(setting, Origin(SourceKind.ENVIRONMENT, name), text)
        return None

    def warnings(self) -> Sequence[str]:
        known = {HOME, CONFIG, *(name for setting in SETTINGS for name in (setting.env, setting.alias))}
        strangers = [name for name in self._environ if name.startswith(_OURS) and name not in known]
        return [*map(_ignored_alias, self._doubled()), *(_unknown(name, known) for name in sorted(strangers))]

    def _doubled(self) -> Iterable[Setting]:
        """Settings that both of their names give."""
        return (
            setting
            for setting in SETTINGS
            if setting.alias and variable(self._environ, setting.alias) and variable(self._environ, setting.env)
        )


class OllamaEnvironment:
    """Ollama's variables, for those who move from it; read as leniently as Ollama reads them."""

    def __init__(self, environ: Mapping[str, str]) -> None:
        self._environ = environ
        self._ignored: dict[str, str] = {}

    def find(self, setting: Setting) -> Found | None:
        if setting.fallback is None:
            return None
        text = variable(self._environ, setting.fallback.env)
        value = self._lenient(setting, text) if text else None
        return None if value is None else Found(value, Origin(SourceKind.ENVIRONMENT, setting.fallback.env))

    def warnings(self) -> Sequence[str]:
        known = {setting.fallback.env for setting in SETTINGS if setting.fallback is not None}
        others = sorted(name for name in self._environ if name.startswith("OLLAMA_") and name not in known)
        return [*self._ignored.values(), *([unread_words(others)] if others else ())]

    def _lenient(self, setting: Setting, text: str) -> Any:
        assert setting.fallback is not None
        try:
            return setting.fallback.parse(text)
        except ValueError:
            name = setting.fallback.env
            self._ignored[name] = f"{name}={text!r} is ignored: it must be {setting.kind.allowed}"
            return None


class HomeFolder:
    """``ROUNDHOUSE_HOME``: one folder for everything, unless a setting names another place."""

    def __init__(self, home: Path) -> None:
        self._home = home

    def find(self, setting: Setting) -> Found | None:
        return (
            Found(self._home / setting.below_home, Origin(SourceKind.ENVIRONMENT, HOME)) if setting.below_home else None
        )

    def warnings(self) -> Sequence[str]:
        return ()


def _ignored_alias(setting: Setting) -> str:
    return f"{setting.alias} is ignored: it is the same setting as {setting.env}, which is set too"


def _unknown(name: str, known: Iterable[str]) -> str:
    """What all of them begin with says nothing about which one was meant."""
    meant = nearest(name.removeprefix(_OURS), [one.removeprefix(_OURS) for one in known if one])
    hint = f"; did you mean {_OURS}{meant}?" if meant else "; `serve --help` lists what there is"
    return f"{name} is no setting of Roundhouse{hint}"
