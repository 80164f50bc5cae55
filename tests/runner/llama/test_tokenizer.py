"""Long texts by vocabularies of a few words; the real ones are in tests/integration/test_engine_tokenizer.py."""

import resource

import pytest

from runner.llama import tokenizer
from runner.llama.tokenizer import PromptTokenizer, Word, run_chars_max
from statemachines.errors import RefusalCode, RequestRefused
from statemachines.units import MIB

BOS, EOS, SPECIAL = 256, 257, 258


class Words:
    """A token for every byte, three special ones, and one word of four letters. Puts a space first, as the engine does.

    Attributes:
        given: texts that were tokenised.
    """

    def __init__(self, *, sentencepiece: bool = True, bytepair: bool = False, strips: bool = False) -> None:
        self.size, self.bos, self.eos = 260, BOS, EOS
        self.adds_bos = self.adds_eos = True
        self.is_sentencepiece, self.is_bytepair = sentencepiece, bytepair
        self.given: list[str] = []
        self._strips = strips

    def has_byte_tokens(self) -> bool:
        return True

    def word(self, token: int) -> Word:
        if token < 256:
            return Word(b"<0x%02X>" % token, bytes([token]), False, False)
        text = {BOS: b"<s>", EOS: b"</s>", SPECIAL: b"<|x|>"}.get(token, b"word")
        return Word(text, text, token < 259, self._strips and token == SPECIAL)

    def tokenize(self, text: str, *, add_special: bool) -> list[int]:
        self.given.append(text)
        tokens = [ord(" "), *text.encode()]
        return [BOS, *tokens, EOS] if add_special else tokens


@pytest.fixture(autouse=True)
def small_pieces(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tokenizer, "PIECE_CHARS", 8)


def nothing() -> None: ...


def test_a_short_text_is_one_call_and_nothing_is_known_of_it() -> None:
    words = Words()
    cut = PromptTokenizer(words, nothing)
    assert cut.tokenize("\u65e5" * 8, add_special=False) == words.tokenize("\u65e5" * 8, add_special=False)
    assert words.given == ["\u65e5" * 8] * 2
    assert cut.least_tokens("x" * 8) == 0


@pytest.mark.parametrize("add_special", [True, False])
def test_a_long_text_is_cut_before_foreign_characters(add_special: bool) -> None:
    words = Words()
    text = "word or so \u65e5word \u65e5\u672c, word word <|x|>\u65e5 \u65e5word"
    tokens = PromptTokenizer(words, nothing).tokenize(text, add_special=add_special)
    pieces = [piece for piece in words.given if len(piece) > 1]  # One letter alone asks what is put before it.
    assert "".join(pieces) == text
    assert pieces == ["word or so \u65e5word \u65e5", "\u672c, word word <|x|>\u65e5 \u65e5word"]
    assert tokens == words.tokenize(text, add_special=add_special)


def test_a_text_without_foreign_characters_stays_whole() -> None:
    words = Words()
    PromptTokenizer(words, nothing).tokenize("word" * 9, add_special=False)
    assert words.given == ["word" * 9]


def test_every_piece_is_attended_to_and_may_be_the_last() -> None:
    words, calls = Words(), iter(range(3))
    cut = PromptTokenizer(words, lambda: next(calls) and None)
    with pytest.raises(StopIteration):
        cut.tokenize("\u65e5" * 100, add_special=False)
    assert len([piece for piece in words.given if len(piece) > 1]) < 3


@pytest.mark.parametrize("kind", [{"sentencepiece": True}, {"sentencepiece": False, "bytepair": True}])
def test_no_token_covers_more_than_the_longest_one(kind: dict[str, bool]) -> None:
    bounded = PromptTokenizer(Words(**kind), nothing)
    assert bounded.least_tokens("x" * 61) == 11  # A byte token is written in six letters.
    assert bounded.least_tokens("\u65e5" * 20) == 10
    assert bounded.least_tokens("\u2581" * 12) == 2  # The same as so many spaces.


def test_spaces_count_unless_a_token_may_swallow_them() -> None:
    assert PromptTokenizer(Words(), nothing).least_tokens(" " * 60) == 10
    assert PromptTokenizer(Words(strips=True), nothing).least_tokens("x\n" + " " * 60) == 1


def test_of_other_vocabularies_nothing_is_known() -> None:
    assert PromptTokenizer(Words(sentencepiece=False), nothing).least_tokens("x" * 100) == 0


def test_a_shortened_text_keeps_both_ends_and_is_still_too_long() -> None:
    bounded = PromptTokenizer(Words(strips=True), nothing)
    text = "begin" + "x" * 1_000 + " " * 300 + "end"
    short = bounded.shortened(text, first_tokens=3, last_tokens=20)
    assert short.startswith("begin" + "x" * 25)
    assert short.endswith(" " * 300 + "end")
    assert bounded.least_tokens(short) >= 20
    assert len(short) < len(text)
    assert bounded.shortened(text, first_tokens=300, last_tokens=20) == text


@pytest.mark.parametrize(("soft_bytes", "most"), [(resource.RLIM_INFINITY, 262_144), (8 * MIB, 18_724)])
def test_runs_are_as_long_as_the_stack_is_deep(soft_bytes: int, most: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(resource, "getrlimit", lambda _which: (soft_bytes, resource.RLIM_INFINITY))
    assert run_chars_max() == most


@pytest.mark.parametrize("letter", ["x", " "])
def test_an_unbroken_run_is_refused_by_byte_pair_vocabularies(letter: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tokenizer, "run_chars_max", lambda: 20)
    words = Words(sentencepiece=False, bytepair=True)
    cut = PromptTokenizer(words, nothing)
    with pytest.raises(RequestRefused) as caught:
        cut.tokenize("some " + letter * 21, add_special=False)
    assert (caught.value.code, words.given) == (RefusalCode.INVALID, [])
    assert len(cut.tokenize("some words " * 9, add_special=False)) == 100
