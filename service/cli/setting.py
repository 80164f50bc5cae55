"""What a setting is; all of them are in `declarations`."""

from collections.abc import Callable
from typing import Any

import msgspec

from service.cli.values import Kind
from service.config import Settings
from statemachines.limits import Limits


class Fallback(msgspec.Struct, frozen=True):
    """An Ollama variable that counts when ours is not set.

    Attributes:
        env: its name.
        parse: its value; None means "choose for me"; ValueError means that it is ignored with a warning.
        words: for the documentation, where its values need explaining.
    """

    env: str
    parse: Callable[[str], Any]
    words: str = ""


class Setting(msgspec.Struct, frozen=True):
    """One setting.

    Attributes:
        name: as it is written in files; with ``-`` it is the flag, in capitals behind ``ROUNDHOUSE_`` the variable.
        field: where it ends up: a field of `Settings`, or ``limits.`` and a field of `Limits`; empty when the
            setting only exists to be checked.
        kind: what its value may be.
        help: one sentence.
        fallback: Ollama's variable of the same meaning.
        alias: a second variable of ours, for who knows the setting by Ollama's word.
        below_home: where a folder lies when ``ROUNDHOUSE_HOME`` names one for all.
        computed: the default where it depends on the machine.
        computed_words: how the documentation calls that default.
    """

    name: str
    field: str
    kind: Kind
    help: str
    fallback: Fallback | None = None
    alias: str = ""
    below_home: str = ""
    computed: Callable[[], Any] | None = None
    computed_words: str = ""

    @property
    def flag(self) -> str:
        return "--" + self.name.replace("_", "-")

    @property
    def env(self) -> str:
        return f"ROUNDHOUSE_{self.name.upper()}"

    def default(self) -> Any:
        """The value without any source."""
        if self.computed is not None:
            return self.computed()
        owner, field = (Limits, self.field[7:]) if self.field.startswith("limits.") else (Settings, self.field)
        return next(info.default for info in msgspec.structs.fields(owner) if info.name == field)

    def default_words(self) -> str:
        """The default as the documentation shows it."""
        return self.computed_words or self.kind.show(self.default()) or "none"


class Section(msgspec.Struct, frozen=True):
    """Settings that belong together in the documentation."""

    title: str
    settings: tuple[Setting, ...]
