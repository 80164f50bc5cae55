"""How the value of a setting is written in a configuration file: as a TOML value of the right type.

A value that was read becomes the text that a flag would have, so that one parser judges all sources; and back, for the
file that `roundhouse config --example` prints.
"""

import datetime
import json
import re
from typing import Any

import msgspec

Plain = bool | int | float | str | list[str]
"""What stands in a file."""
_SHOWN_CHARS_MAX = 60


class Literal(msgspec.Struct, frozen=True):
    """The form of a setting's value in a file.

    Attributes:
        types: which TOML types are understood.
        allowed: how to write it, as the end of the sentence "it must be ..."; empty when the words for flags fit.
        word: what may stand there as a string instead.
    """

    types: tuple[type, ...]
    allowed: str = ""
    word: str = ""

    def text(self, value: object) -> str:
        """The text that a flag would have.

        Raises:
            ValueError: the type is wrong.
        """
        if self.word and value == self.word:
            return self.word
        if type(value) not in self.types or value == "":
            raise ValueError(value)
        if isinstance(value, list):
            return _joined(value)
        return str(value).strip()

    def plain(self, text: str) -> Plain:
        """The value to write for ``text``, which a flag would have."""
        if bool in self.types:
            return text == "on"
        if list in self.types:
            return text.split(",") if text else []
        if int in self.types and re.fullmatch(r"-?\d+", text):
            return int(text)
        return float(text) if float in self.types else text


def toml(value: object) -> str:
    """A value as it stands in a file."""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, str):
        return _quoted(value)
    if isinstance(value, list):
        return f"[{', '.join(map(toml, value))}]"
    if isinstance(value, datetime.date | datetime.time):
        return value.isoformat()
    return "a table" if isinstance(value, dict) else str(value)


def shown(value: object) -> str:
    """The same for a message: shortened where it is long."""
    text = toml(value)
    return text if len(text) <= _SHOWN_CHARS_MAX else f"{text[:_SHOWN_CHARS_MAX]}..."


def _quoted(text: str) -> str:
    """TOML's basic strings are JSON's, except that they must not hold a bare DEL."""
    return json.dumps(text, ensure_ascii=False).replace("\x7f", "\\u007f")


def _joined(words: list[Any]) -> str:
    if not all(isinstance(word, str) and "," not in word for word in words):
        raise ValueError(words)
    return ",".join(words)
