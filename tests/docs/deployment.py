"""The files for operators in the documentation, read far enough to check what they say."""

import re
from collections import defaultdict

from tests.checkout import ROOT

HOW_TO = ROOT / "docs" / "how-to"
FILES = HOW_TO / "files"


def text_of(name: str) -> str:
    return (FILES / name).read_text(encoding="utf-8")


def unit() -> dict[str, list[str]]:
    """Values of the unit's keys, in order; a key may stand there more than once."""
    found: dict[str, list[str]] = defaultdict(list)
    for line in text_of("roundhouse.service").splitlines():
        key, mark, value = line.partition("=")
        if mark and not line.startswith("#"):
            found[key].append(value)
    return found


def instructions() -> list[tuple[str, str]]:
    """The instructions of the Containerfile with what follows each, comments left out and long lines joined."""
    lines = [line for line in text_of("Containerfile").splitlines() if not line.startswith("#")]
    joined = re.sub(r"\\\n\s*", "", "\n".join(lines))
    return [(word, rest) for word, _, rest in (line.partition(" ") for line in joined.splitlines() if line)]


def assignments(words: list[str]) -> dict[str, str]:
    """Variables as `NAME=VALUE`, several of them in one string."""
    return dict(pair.split("=", 1) for word in words for pair in word.split())


def page(name: str) -> str:
    """A how-to page."""
    return (HOW_TO / name).read_text(encoding="utf-8")
