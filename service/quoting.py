"""Words of a client that an error message repeats: cut, so that an answer does not grow with what was wrong."""

QUOTED_CHARS_MAX = 640
"""More than any valid name of a model has."""


def quoted(text: str) -> str:
    """``text`` as a message may repeat it."""
    return text if len(text) <= QUOTED_CHARS_MAX else f"{text[:QUOTED_CHARS_MAX]}\u2026"
