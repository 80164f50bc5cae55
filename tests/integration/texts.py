"""Answers that are hard to pass on: characters in several tokens, and stop strings that come or almost come."""

from itertools import pairwise

from tests.factory.scripted import Answer, say

CHARACTERS = ("\u00e9", "\u20ac", "\U0001f682")


def cuts(character: str) -> list[tuple[bytes, ...]]:
    """Every way to cut a character's bytes into pieces."""
    encoded = character.encode()
    ways = []
    for mask in range(1, 1 << (len(encoded) - 1)):
        edges = [0, *(at for at in range(1, len(encoded)) if mask >> (at - 1) & 1), len(encoded)]
        ways.append(tuple(encoded[a:b] for a, b in pairwise(edges)))
    return ways


SPLITS = [(character, cut) for character in CHARACTERS for cut in cuts(character)]
STOPS = {
    "three": Answer((b"One E", b"N", b"D. Two")),
    "almost": Answer((b"Won E", b"N", b"D, E", b"N")),
    "emoji": Answer((b"\xf0\x9f", b"\x9a\x82", b" go", b"n", b"e")),
    "cutoff": Answer((b"caf", b"\xc3")),
    "bad": Answer((b"x", b"\xff", b"y")),
    "endless": say("again and", endless=True),
}
