"""The fenced blocks of README.md: what a reader copies, in the order in which it stands there.

``python -m tests.readme.commands test`` prints the line that runs the tests; `.ci/run` runs that.
"""

import re
import sys
from dataclasses import dataclass
from pathlib import Path

FENCE = re.compile(
    r"(?:^<!-- not run: (?P<why_not>[^\n]+) -->\n)?^```(?P<language>\w+)\n(?P<text>.*?)^```$", re.DOTALL | re.MULTILINE
)


@dataclass(frozen=True)
class Block:
    """One block: its language, its text, and why it is not run here (empty: it is)."""

    language: str
    text: str
    why_not: str = ""


def blocks(readme: str) -> list[Block]:
    """Every fenced block, in order."""
    return [Block(match["language"], match["text"].strip(), match["why_not"] or "") for match in FENCE.finditer(readme)]


def only(found: list[Block], words: str) -> Block:
    """The one block that contains these words.

    Raises:
        LookupError: there is none, or more than one.
    """
    having = [block for block in found if words in block.text]
    if len(having) != 1:
        raise LookupError(f"{len(having)} blocks of README.md contain {words!r}, not 1")
    return having[0]


WORDS = {
    "demo": "roundhouse run demo",
    "test": "bin/tox",
    "serve": "roundhouse serve",
    "curl": "curl ",
    "openai": "pip install openai",
    "python": "from openai",
}
"""What tells the blocks apart."""


if __name__ == "__main__":
    readme = (Path(__file__).parents[2] / "README.md").read_text(encoding="utf-8")
    print(only(blocks(readme), WORDS[sys.argv[1]]).text)
