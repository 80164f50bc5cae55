"""Small vocabularies that llama.cpp accepts: a SentencePiece-like one with byte tokens, and a byte-level BPE one.

llama.cpp refuses a file in which two tokens have the same text, so every text here is made unique.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import product
from typing import Literal

from gguf import TokenType

UNKNOWN, BOS, EOS = 0, 1, 2
"""Ids of the three special tokens that each of these vocabularies begins with."""

SPACE = "\u2581"
"""How SentencePiece writes a space inside a token."""

GPT2_SPACE = "\u0120".encode()


@dataclass(frozen=True)
class Vocabulary:
    """Tokens in the order of their ids, as the tokenizer keys of a GGUF file want them.

    Attributes:
        model: ``tokenizer.ggml.model``.
        texts: the bytes of each token's text; not always UTF-8.
        scores: merge scores, higher first; only the ``llama`` tokenizer reads them.
        merges: pairs in the order of their rank; only the ``gpt2`` tokenizer reads them.
    """

    model: Literal["llama", "gpt2"]
    texts: tuple[bytes, ...]
    types: tuple[TokenType, ...]
    scores: tuple[float, ...]
    merges: tuple[str, ...] = ()

    def __len__(self) -> int:
        return len(self.texts)

    def silent(self) -> list[int]:
        """Ids that stand for no legible text: special tokens, byte tokens, and GPT-2's spelling of odd bytes."""
        return [
            i
            for i, (text, kind) in enumerate(zip(self.texts, self.types, strict=True))
            if kind != TokenType.NORMAL or (self.model == "gpt2" and not text.isascii() and text != GPT2_SPACE)
        ]


def spm(*, size: int = 512, extra: Iterable[tuple[bytes, TokenType]] = ()) -> Vocabulary:
    """Specials, 256 byte tokens, printable ASCII, syllables up to `size` tokens, then `extra` ones.

    Every text can be tokenised: what is no token of its own becomes byte tokens.
    """
    specials = [(b"<unk>", TokenType.UNKNOWN), (b"<s>", TokenType.CONTROL), (b"</s>", TokenType.CONTROL)]
    rows = [
        *specials,
        *((b"<0x%02X>" % value, TokenType.BYTE) for value in range(256)),
        *((text.encode(), TokenType.NORMAL) for text in (SPACE, *map(chr, range(0x21, 0x7F)))),
    ]
    pieces = _pieces()
    while len(rows) < size:
        rows.append((next(pieces).encode(), TokenType.NORMAL))
    rows.extend(extra)
    texts, types = zip(*rows, strict=True)
    return Vocabulary("llama", texts, types, tuple(float(-i) for i in range(len(texts))))


def bpe(*, size: int = 512) -> Vocabulary:
    """Specials, the 256 bytes in GPT-2's spelling, then syllables that merges lead to, up to `size` tokens."""
    texts = ["<|unknown|>", "<|begin|>", "<|end|>", *_gpt2_bytes()]
    merges = list(_merges(size - len(texts)))
    texts += ["".join(pair) for pair in merges]
    kinds = (*[TokenType.CONTROL] * 3, *[TokenType.NORMAL] * (len(texts) - 3))
    encoded = tuple(text.encode() for text in texts)
    return Vocabulary("gpt2", encoded, kinds, (0.0,) * len(texts), tuple(" ".join(pair) for pair in merges))


def _gpt2_bytes() -> Iterator[str]:
    """The printable character that GPT-2 gives to each byte: itself, or one from U+0100 on."""
    printable = {*range(0x21, 0x7F), *range(0xA1, 0xAD), *range(0xAE, 0x100)}
    spare = 0x100
    for value in range(256):
        if value in printable:
            yield chr(value)
        else:
            yield chr(spare)
            spare += 1


def _merges(count: int) -> Iterator[tuple[str, str]]:
    """Merges whose parts are tokens already: a consonant and a vowel, then two such syllables."""
    syllables = ["".join(pair) for pair in product("bcdfghjklmnprstvwz", "aeiou")]
    pairs = [(text[0], text[1]) for text in syllables] + list(product(syllables, syllables))
    yield from pairs[:count]


def _pieces() -> Iterator[str]:
    """Syllables that SentencePiece merges can reach, first alone, then after a space, then in pairs, then in threes."""
    syllables = ["".join(pair) for pair in product("bcdfghjklmnprstvwz", "aeiou")]
    yield from syllables
    yield from (SPACE + text for text in syllables)
    yield from ("".join(pair) for pair in product(syllables, syllables))
    yield from ("".join(pair) for pair in product([SPACE + text for text in syllables], syllables))
    yield from ("".join(three) for three in product(syllables, repeat=3))
