"""How the text of a setting becomes a value, and how a value is shown: one `Kind` per type of setting."""

import math
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import msgspec

from service.cli.addresses import ADDRESS_FORMS, Address, bracketed, parse_address
from service.cli.amounts import parse_bytes, show_bytes, show_keep_alive, show_seconds
from service.cli.folders import full_path
from service.cli.literals import Literal, Plain, toml
from service.durations import KEEP_ALIVE_FORMS, parse_keep_alive
from statemachines.units import seconds_to_ns

_Number = TypeVar("_Number", int, float)

_STRING = Literal((str,))
_NUMBER = Literal((int,))
_TRUTHS = {"1": True, "true": True, "yes": True, "on": True, "0": False, "false": False, "no": False, "off": False}


class Kind(msgspec.Struct, frozen=True):
    """A type of setting.

    Attributes:
        metavar: what stands for the value in ``--help``.
        allowed: what the value may be, as the end of the sentence "it must be ...".
        parse: text to value; raises ValueError.
        show: value to text, such that ``parse(show(value)) == value``.
        literal: how it is written in a configuration file.
    """

    metavar: str
    allowed: str
    parse: Callable[[str], Any]
    show: Callable[[Any], str] = str
    literal: Literal = _STRING

    @property
    def allowed_in_file(self) -> str:
        """What a file may say, as the end of the sentence "it must be ..."."""
        return self.literal.allowed or self.allowed

    def plain(self, value: Any) -> Plain:
        """What a file says for ``value``."""
        return self.literal.plain(self.show(value))


def count(*, least: int = 1) -> Kind:
    """A whole number."""

    def parse(text: str) -> int:
        return _at_least(least, int(text) if re.fullmatch(r"[+-]?\d{1,18}", text) else None)

    return Kind("N", f"a whole number, {least} or more", parse, literal=_NUMBER)


def port() -> Kind:
    """A TCP port."""

    def parse(text: str) -> int:
        number = int(text) if text.isascii() and text.isdecimal() else 65536
        if number > 65535:
            raise ValueError
        return number

    return Kind("PORT", "a port from 0 to 65535", parse, literal=_NUMBER)


def own_address() -> Kind:
    """Where only programs of this machine come in."""

    def parse(text: str) -> str:
        if text.startswith("unix:/") and "\0" not in text:
            return text
        address = parse_address(text)
        if "://" in text or not address.host or address.port is None or address.path:
            raise ValueError
        return f"{bracketed(address.host)}:{address.port}"

    return Kind("unix:/PATH|HOST:PORT", "unix:/PATH, or HOST:PORT of this machine", parse)


def seconds(*, least: float = 0) -> Kind:
    """Seconds for people, nanoseconds for us."""

    def parse(text: str) -> int:
        number = float(text)
        if not math.isfinite(number) or "_" in text:
            raise ValueError
        return seconds_to_ns(_at_least(least, number))

    return Kind("S", f"a number of seconds, {least:g} or more", parse, show_seconds, Literal((int, float)))


def size(*, least: int = 0) -> Kind:
    """Bytes, with or without a unit."""

    def parse(text: str) -> int:
        return _at_least(least, parse_bytes(text))

    bound = f", {least} or more" if least else ""
    literal = Literal((int, str), f'a number of bytes{bound}, or in quotes "64MiB" or "1.5GB"')
    return Kind("BYTES", f"a number of bytes such as 67108864, 64MiB or 1.5GB{bound}", parse, show_bytes, literal)


def optional(kind: Kind, word: str) -> Kind:
    """A ``kind`` that may also be absent; ``word`` says so."""

    def parse(text: str) -> Any:
        return None if text.lower() == word else kind.parse(text)

    def show(value: Any) -> str:
        return word if value is None else kind.show(value)

    in_file = kind.literal.allowed and f'{kind.literal.allowed}, or "{word}"'
    literal = msgspec.structs.replace(kind.literal, word=word, allowed=in_file)
    return Kind(f"{kind.metavar}|{word}", f"{kind.allowed}, or {word!r}", parse, show, literal)


def truth() -> Kind:
    """Yes or no; on the command line a flag without a value."""

    def parse(text: str) -> bool:
        if text.lower() not in _TRUTHS:
            raise ValueError
        return _TRUTHS[text.lower()]

    def show(value: bool) -> str:
        return "on" if value else "off"

    literal = Literal((bool,), "true or false")
    return Kind("", "one of 1, true, yes, on, 0, false, no, off", parse, show, literal)


def keep_alive() -> Kind:
    """How long an idle runner stays."""
    literal = Literal(
        (int, str), 'a number of seconds, 0 (unload when idle), -1 (forever), or in quotes "90s" or "1h30m"'
    )
    return Kind("DURATION", KEEP_ALIVE_FORMS, parse_keep_alive, show_keep_alive, literal)


def choice(*words: str) -> Kind:
    """One of some words."""

    def parse(text: str) -> str:
        if text.lower() not in words:
            raise ValueError
        return text.lower()

    literal = Literal((str,), f"one of {', '.join(map(toml, words))}")
    return Kind("|".join(words), f"one of {', '.join(words)}", parse, literal=literal)


def listing() -> Kind:
    """Words separated by commas."""

    def parse(text: str) -> tuple[str, ...]:
        return tuple(word.strip() for word in text.split(",") if word.strip())

    literal = Literal((list,), 'a list of strings such as ["a", "b"]')
    return Kind("A,B,...", "a list separated by commas", parse, ",".join, literal)


def folder() -> Kind:
    """A folder; ``~`` is the home folder."""

    def parse(text: str) -> Path:
        if not text:
            raise ValueError
        return full_path(text)

    return Kind("DIR", "a folder, its name in UTF-8", parse, literal=Literal((str,), "a folder, in quotes"))


def version() -> Kind:
    """Three numbers with dots."""

    def parse(text: str) -> str:
        if not re.fullmatch(r"\d{1,9}\.\d{1,9}\.\d{1,9}", text, re.ASCII):
            raise ValueError
        return text

    literal = Literal((str,), 'a version in quotes such as "0.12.6"')
    return Kind("X.Y.Z", "a version such as 0.12.6", parse, literal=literal)


def address() -> Kind:
    """Where to listen, or whom to ask."""

    def show(value: Address | str) -> str:
        return (value if isinstance(value, str) else value.host) or "0.0.0.0"  # every address

    return Kind("HOST[:PORT]", ADDRESS_FORMS, parse_address, show)


def _at_least(least: _Number, number: _Number | None) -> _Number:
    if number is None or number < least:
        raise ValueError
    return number
