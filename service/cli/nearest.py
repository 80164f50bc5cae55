"""The known name that somebody probably meant."""

import difflib
from collections.abc import Iterable

_LIKE, _LIKE_ITS_BEGINNING = 0.6, 0.3
"""How much of two names must agree, as `difflib` counts it; less where one name is the other's beginning."""


def nearest(name: str, known: Iterable[str]) -> str | None:
    """The known name that looks most like this one; one that begins like it comes before all others.

    None where nothing is near: a guess would send people the wrong way.
    """
    names = sorted(known)
    longer = [one for one in names if one.startswith(name)]
    cutoff = _LIKE_ITS_BEGINNING if longer else _LIKE
    return next(iter(difflib.get_close_matches(name, longer or names, n=1, cutoff=cutoff)), None)
