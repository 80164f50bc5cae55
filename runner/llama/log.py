"""The engine's log: whole lines out of its callback, to standard error and to whoever reads them.

The service reads a runner's standard error and turns each line into a record of its structured log. A line of ours is
one JSON object with ``level`` and ``text``; whatever native code writes by itself (an assertion, a sanitizer) stays a
plain line and is logged as such.
"""

import json
import sys
from collections import deque
from collections.abc import Callable
from typing import NamedTuple

LEVELS = {0: "info", 1: "debug", 2: "info", 3: "warning", 4: "error"}
"""ggml's log levels by number."""
CONTINUES = 5
"""The number of a text that goes on where the one before it stopped."""

KEPT_LINES_MAX = 4096
"""A load logs a few hundred lines above debug; a file with a hostile number of keys could log many more."""


class LogLine(NamedTuple):
    level: str
    text: str


def write_line(line: LogLine) -> None:
    """Write one JSON object as one line of standard error."""
    sys.stderr.write(json.dumps({"level": line.level, "text": line.text}) + "\n")
    sys.stderr.flush()


class EngineLog:
    """Puts the engine's pieces of text together; keeps the last lines for the report and for what a failure means.

    Debug lines are dropped: a load writes hundreds of them (each tensor, each reserved graph).
    """

    def __init__(self, write: Callable[[LogLine], None] = write_line) -> None:
        self._write = write
        self._level = LEVELS[0]
        self._partial = ""
        self._kept: deque[LogLine] = deque(maxlen=KEPT_LINES_MAX)

    def take(self, level: int, text: bytes) -> None:
        """The engine's callback.

        A line ends where a piece does. Line ends within are from what the engine repeats, such as a model's name, which
        would otherwise write lines of its own that are read as the engine's (`runner.llama.report`).
        """
        if level != CONTINUES:
            self._finish(self._partial)
            self._partial = ""
            self._level = LEVELS.get(level, "info")
        piece = text.decode("utf-8", "replace")
        ends_line = piece.endswith("\n")
        self._partial += piece.removesuffix("\n").replace("\n", " ")
        if ends_line:
            self._finish(self._partial)
            self._partial = ""

    def _finish(self, text: str) -> None:
        if self._level == "debug" or not text.strip(". "):  # dots are how it draws progress
            return
        self.note(self._level, text.rstrip())

    def note(self, level: str, text: str) -> None:
        """Log and keep a line."""
        line = LogLine(level, text)
        self._kept.append(line)
        self._write(line)

    def kept_texts(self, level: str | None = None) -> tuple[str, ...]:
        """What was logged since `forget`, at one level or at all."""
        return tuple(line.text for line in self._kept if level in (None, line.level))

    def forget(self) -> None:
        """Drop what was kept: a load is over."""
        self._kept.clear()
