"""What a process prints, as lines for the log and a short tail for the report of its death."""

import re
from collections import deque

LINE_BYTES_MAX = 2048
"""A longer line is cut here; the rest of it is dropped. The engine's longest honest lines have some 500."""
TAIL_LINES_MAX = 40
"""Lines kept for `Exit.stderr_tail`: an assertion and a stack trace."""

_NOT_PRINTABLE = re.compile(r"[\x00-\x08\x0a-\x1f\x7f-\x9f\u2028\u2029]")
"""Control characters except the tab: a model file's metadata is printed by the engine, and may hold what would
rewrite an operator's terminal or forge a line of the log."""
_CUT = " [cut]"


def printable(text: str) -> str:
    """``text`` as one line that is harmless to a terminal.

    Why: what was decoded out of a clean line need not be clean, since JSON writes control characters as letters.
    """
    return _NOT_PRINTABLE.sub("\N{REPLACEMENT CHARACTER}", text)


class Lines:
    """Bytes in pieces of any size to lines of text; bounded, whatever comes."""

    def __init__(self) -> None:
        self._line = bytearray()
        self._is_cut = False
        self._tail: deque[str] = deque(maxlen=TAIL_LINES_MAX)

    @property
    def tail(self) -> str:
        """The last lines so far."""
        return "\n".join(self._tail)

    def feed(self, data: bytes) -> list[str]:
        """The lines that are complete with ``data``; empty ones are left out."""
        *endings, rest = data.replace(b"\r", b"\n").split(b"\n")
        lines = []
        for ending in endings:
            self._grow(ending)
            lines += self._take()
        self._grow(rest)
        return lines

    def end(self) -> list[str]:
        """The last line, if it had no end."""
        return self._take()

    def _grow(self, piece: bytes) -> None:
        room = LINE_BYTES_MAX - len(self._line)
        self._is_cut = self._is_cut or len(piece) > room
        self._line += piece[:room]

    def _take(self) -> list[str]:
        text = self._line.decode("utf-8", "replace") + (_CUT if self._is_cut else "")
        self._line.clear()
        self._is_cut = False
        if not text.strip():
            return []
        line = printable(text)
        self._tail.append(line)
        return [line]
