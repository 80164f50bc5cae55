"""From text to token ids in calls of the engine that end soon and take little memory, whatever the text is.

Theory of operation. The engine tokenises a text in one call, which hears nothing until it is done: no cancel, no stop,
and no beat is sent meanwhile. Texts of some thousand characters take it milliseconds. Longer ones are looked at first:

- *How many tokens at least?* No token covers more bytes than the longest one has. A text that cannot fit by that
  count is refused or shortened before the engine sees it, so what the engine gets is bounded by the context.
- *SentencePiece* takes a time that grows with the square of the characters that the vocabulary does not have (two
  minutes for 500,000 of them). At such a character the text can be cut without changing a token: nothing merges
  across it. Between two pieces messages are obeyed and beats are sent.
- *SentencePiece without byte tokens* ends the process at a character that it cannot spell. Such vocabularies are rare;
  for them every text is looked at, and refused.
- *Byte-pair* tokenizers of many models recurse once for each character of an unbroken run. One that would overflow the
  stack, and kill the process, is refused.

All of this needs the vocabulary's own words, which are looked through when the first long text comes.
"""

import re
import resource
from collections.abc import Callable, Iterator
from typing import NamedTuple, Protocol

from statemachines.errors import Refusal, RefusalCode, RequestRefused
from statemachines.units import MIB

PIECE_CHARS = 1 << 14
"""Texts up to this length are tokenised without a further look; longer ones, where they can be cut, in such pieces.
As many characters that the vocabulary does not have take a tenth of a second."""
STACK_BYTES_MAX = 112 * MIB
STACK_BYTES_PER_CHAR = 448
"""Of an unbroken run, in the tokenizer that needs most (gpt-4o). Measured: 315."""
WORDS_BETWEEN_LOOKS = 1 << 13

_SPACES = b" \t\n\v\f\r"
"""What a token may swallow that lets nothing stand beside it: the C library's spaces."""
_ESCAPED_SPACE = "\u2581"
"""SentencePiece's spelling of a space: three bytes in a text, one in the piece that it becomes."""


class Word(NamedTuple):
    """One token: as the vocabulary writes it, and the bytes that it stands for."""

    text: bytes
    piece: bytes
    is_special: bool
    strips: bool


class Vocabulary(Protocol):
    """What is needed of `runner.llama.library.Vocabulary`."""

    size: int
    bos: int
    eos: int
    is_sentencepiece: bool
    is_bytepair: bool
    adds_bos: bool
    adds_eos: bool

    def tokenize(self, text: str, *, add_special: bool) -> list[int]: ...

    def has_byte_tokens(self) -> bool: ...

    def word(self, token: int) -> Word: ...


class Lexicon(NamedTuple):
    """What all words of a vocabulary together say about any text.

    Attributes:
        longest_bytes: no token covers more of a text [bytes].
        covers_all: there is a token for every byte, so no part of a text is left out.
        strips: a special token may swallow the spaces beside it.
        specials: special tokens as they are written.
        alone: characters that are a token by themselves.
        bytes: bytes that are one.
        foreign: finds a character that is part of no word.
    """

    longest_bytes: int
    covers_all: bool
    strips: bool
    specials: tuple[str, ...]
    alone: frozenset[str]
    bytes: frozenset[bytes]
    foreign: re.Pattern[str]


class PromptTokenizer:
    """Tokenises prompts of one vocabulary.

    Args:
        attend: called between two calls of the engine; what it raises ends the work.
    """

    def __init__(self, vocabulary: Vocabulary, attend: Callable[[], None]) -> None:
        self.size = vocabulary.size
        self.bos = vocabulary.bos
        self._vocabulary = vocabulary
        self._attend = attend
        self._lexicon: Lexicon | None = None
        self._may_not_spell = vocabulary.is_sentencepiece and not vocabulary.has_byte_tokens()

    def tokenize(self, text: str, *, add_special: bool) -> list[int]:
        """The same tokens as in one call of the engine.

        Raises:
            RequestRefused: the engine would not survive it.
        """
        self._attend()
        if self._may_not_spell:
            _check_spelling(text, self._words())
        if len(text) > PIECE_CHARS and self._vocabulary.is_sentencepiece:
            return self._in_pieces(text, add_special=add_special)
        if len(text) > PIECE_CHARS and self._vocabulary.is_bytepair:
            _check_runs(text)
        return self._vocabulary.tokenize(text, add_special=add_special)

    def least_tokens(self, text: str) -> int:
        """As many tokens or more will come of a long text; 0 where nothing is known without tokenising it."""
        is_known = self._vocabulary.is_sentencepiece or self._vocabulary.is_bytepair
        if len(text) <= PIECE_CHARS or not is_known or not self._words().covers_all:
            return 0
        data = text.encode("utf-8", "replace")
        size_bytes = len(data.translate(None, _SPACES) if self._words().strips else data)
        size_bytes -= (len(_ESCAPED_SPACE.encode()) - 1) * text.count(_ESCAPED_SPACE)
        return -(-size_bytes // self._words().longest_bytes)

    def shortened(self, text: str, *, first_tokens: int, last_tokens: int) -> str:
        """A text of which `least_tokens` are too many, without most of its middle.

        What is left begins with the same `first_tokens`, ends with the same `last_tokens`, and has more than those.
        """
        longest = self._words().longest_bytes
        first, last = (first_tokens + 2) * longest, (last_tokens + 2) * longest
        while last < len(text) and self.least_tokens(text[-last:]) < last_tokens:
            last *= 2
        return text if first + last >= len(text) else text[:first] + text[-last:]

    def _in_pieces(self, text: str, *, add_special: bool) -> list[int]:
        """Tokens of a SentencePiece vocabulary. Each piece but the first begins with a foreign character."""
        words = self._vocabulary
        tokens = [words.bos] * (add_special and words.adds_bos)
        start = 0
        for end in (*self._cuts(text), len(text)):
            self._attend()
            found = words.tokenize(text[start:end], add_special=False)
            tokens += found[self._put_before(text[start]) if start else 0 :]
            start = end
        return tokens + [words.eos] * (add_special and words.adds_eos)

    def _cuts(self, text: str) -> Iterator[int]:
        """Where the text may be cut: before a foreign character, but not behind a special token.

        Behind a special token, or the spaces that one may have swallowed, the engine puts a space first; elsewhere it
        does not. Behind a cut it always does, and that space is taken away again.
        """
        lexicon = self._words()
        start, look_from = 0, PIECE_CHARS
        while lexicon.covers_all and (match := lexicon.foreign.search(text, look_from)) is not None:
            cut = match.start()
            look_from = cut + 1
            if text[cut - 1].isspace() or text.endswith(lexicon.specials, start, cut):
                continue
            yield cut
            start, look_from = cut, cut + PIECE_CHARS

    def _put_before(self, foreign: str) -> int:
        """How many tokens the engine puts before a text that begins like this; the character is one for each byte."""
        return len(self._vocabulary.tokenize(foreign, add_special=False)) - len(foreign.encode("utf-8", "replace"))

    def _words(self) -> Lexicon:
        if self._lexicon is None:
            self._lexicon = make_lexicon(self._vocabulary, self._attend)
        return self._lexicon


def make_lexicon(vocabulary: Vocabulary, attend: Callable[[], None]) -> Lexicon:
    """Look through all words: some tenths of a second for the largest vocabularies."""
    longest_bytes, strips = 1, False
    alone: set[str] = set()
    single: set[bytes] = set()
    specials: dict[str, None] = {}
    letters = {" ", _ESCAPED_SPACE}
    for token in range(vocabulary.size):
        if not token % WORDS_BETWEEN_LOOKS:
            attend()
        word = vocabulary.word(token)
        text, piece = word.text.decode("utf-8", "ignore"), word.piece.decode("utf-8", "ignore")
        longest_bytes = max(longest_bytes, len(word.text), len(word.piece))
        strips = strips or word.strips
        letters.update(text, piece)
        if len(text) == 1:
            alone.add(text)
        if len(word.piece) == 1:
            single.add(word.piece)
        if word.is_special and text:
            specials[text] = None
    foreign = re.compile(f"[^{re.escape(''.join(sorted(letters)))}]")
    covers_all = len(single) == 256
    return Lexicon(longest_bytes, covers_all, strips, tuple(specials), frozenset(alone), frozenset(single), foreign)


def _check_spelling(text: str, words: Lexicon) -> None:
    """Every character is a token, or its bytes are. The engine puts a space first, and spells it in its own way."""
    characters = sorted({_ESCAPED_SPACE, *text.replace(" ", _ESCAPED_SPACE)} - words.alone)
    for character in characters:
        encoded = character.encode("utf-8", "replace")
        if any(encoded[at : at + 1] not in words.bytes for at in range(len(encoded))):
            raise RequestRefused(
                Refusal(
                    RefusalCode.INVALID,
                    f"the model's vocabulary cannot spell the character {character!a}; leave it out, or use "
                    "another model",
                )
            )


def run_chars_max() -> int:
    """The longest unbroken run for which the stack of this thread is deep enough [characters]."""
    soft, _ = resource.getrlimit(resource.RLIMIT_STACK)
    stack_bytes = STACK_BYTES_MAX if soft == resource.RLIM_INFINITY else min(soft, STACK_BYTES_MAX)
    return stack_bytes // STACK_BYTES_PER_CHAR


def _check_runs(text: str) -> None:
    most = run_chars_max()
    if len(text) > most and any(len(run[0]) > most for run in re.finditer(r"\s+|\S+", text)):
        raise RequestRefused(
            Refusal(
                RefusalCode.INVALID,
                f"the prompt has more than {most} characters in a row without a space between them (or nothing but "
                "spaces), which this model's tokenizer cannot take; break it up",
            )
        )
