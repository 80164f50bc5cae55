"""From token bytes to text that may be sent: whole characters, and never the beginning of a stop string.

Both parts only ever hold back; `finish` gives out what they hold when nothing more will come.
"""

import codecs
from collections.abc import Sequence


class Characters:
    """Puts UTF-8 together from pieces that may end anywhere.

    A byte that can belong to no character becomes U+FFFD as soon as that is certain; a character that is unfinished at
    `finish` becomes one too.
    """

    def __init__(self) -> None:
        self._decoder = codecs.getincrementaldecoder("utf-8")(errors="replace")

    def push(self, piece: bytes) -> str:
        return self._decoder.decode(piece)

    def finish(self) -> str:
        return self._decoder.decode(b"", final=True)


class StopStrings:
    """Looks for stop strings in text that comes in parts.

    The first complete one wins, the leftmost if a part completes several; it and all after it are dropped. An end of
    the text that may yet become a stop string is held back.
    """

    def __init__(self, stops: Sequence[str]) -> None:
        self._stops = tuple(dict.fromkeys(filter(None, stops)))
        self._held = ""
        self.is_found = False

    def push(self, text: str) -> str:
        """What may be sent now."""
        text = self._held + text
        found = [at for at in (text.find(stop) for stop in self._stops) if at >= 0]
        if found:
            self.is_found, self._held = True, ""
            return text[: min(found)]
        keep = max((_overlap(text, stop) for stop in self._stops), default=0)
        self._held = text[len(text) - keep :]
        return text[: len(text) - keep]

    def finish(self) -> str:
        """What was held back for a stop string that never came."""
        held, self._held = self._held, ""
        return held


def _overlap(text: str, stop: str) -> int:
    """Length of the longest beginning of `stop`, short of all of it, with which `text` ends."""
    longest = min(len(text), len(stop) - 1)
    return next((size for size in range(longest, 0, -1) if text.endswith(stop[:size])), 0)


class AnswerText:
    """One answer's text: characters first, then stop strings."""

    def __init__(self, stops: Sequence[str]) -> None:
        self._characters = Characters()
        self._stops = StopStrings(stops)

    @property
    def is_stopped(self) -> bool:
        return self._stops.is_found

    def push(self, piece: bytes) -> str:
        """What a token's bytes let out."""
        return self._stops.push(self._characters.push(piece))

    def finish(self, *, is_cut: bool) -> str:
        """What is left when the answer ends: nothing after a stop string.

        Args:
            is_cut: the model would have gone on; the character that it had begun is left out.
        """
        if self.is_stopped:
            return ""
        unfinished = "" if is_cut else self._characters.finish()
        return self._stops.push(unfinished) + self._stops.finish()
