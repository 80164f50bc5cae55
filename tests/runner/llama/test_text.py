"""Text assembly against the plain definition: joined output is the text up to the first stop string."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from runner.llama.text import AnswerText, Characters, StopStrings

PIECES = st.lists(st.binary(max_size=5), max_size=12)
PARTS = st.lists(st.text("abé🚂", max_size=4), max_size=12)
STOPS = st.lists(st.text("abé", min_size=1, max_size=4), max_size=3)


@pytest.mark.parametrize("character", ["é", "€", "🚂"])
def test_a_character_comes_out_whole_with_its_last_byte(character: str) -> None:
    encoded = character.encode()
    for cut in range(1, len(encoded)):
        characters = Characters()
        assert characters.push(encoded[:cut]) == ""
        assert characters.push(encoded[cut:]) == character
        assert characters.finish() == ""


@pytest.mark.parametrize(
    ("pieces", "text"),
    [
        ([b"a\xff", b"b"], "a\ufffdb"),
        ([b"\xf0\x9f", b"b"], "\ufffdb"),
        ([b"\xf0\x9f\x9a"], "\ufffd"),
        ([b"\xe2", b"\xe2\x82\xac"], "\ufffd€"),
    ],
)
def test_bytes_of_no_character_become_the_replacement_character(pieces: list[bytes], text: str) -> None:
    characters = Characters()
    assert "".join(map(characters.push, pieces)) + characters.finish() == text


@given(PIECES)
def test_characters_equal_decoding_at_once(pieces: list[bytes]) -> None:
    characters = Characters()
    assert "".join(map(characters.push, pieces)) + characters.finish() == b"".join(pieces).decode(errors="replace")


@given(PARTS, STOPS)
def test_nothing_of_a_stop_string_is_ever_sent(parts: list[str], stops: list[str]) -> None:
    matcher = StopStrings(stops)
    sent = ""
    read = ""
    for part in parts:
        read += part
        sent += matcher.push(part)
        assert not any(stop in sent for stop in stops)
        if matcher.is_found:
            break
    if matcher.is_found:
        assert any(read.startswith(sent + stop) for stop in stops)
        assert matcher.finish() == ""
    else:
        assert not any(stop in read for stop in stops)
        assert sent + matcher.finish() == read


@given(PARTS, STOPS)
def test_no_more_is_held_back_than_a_stop_string_needs(parts: list[str], stops: list[str]) -> None:
    matcher = StopStrings(stops)
    sent = read = ""
    for part in parts:
        read += part
        sent += matcher.push(part)
        if matcher.is_found:
            return
        held = read[len(sent) :]
        assert held == "" or any(stop.startswith(held) for stop in stops)


def test_a_stop_string_over_three_parts_is_found() -> None:
    matcher = StopStrings(["END."])
    assert [matcher.push(part) for part in ("one E", "N", "D. two")] == ["one ", "", ""]
    assert matcher.is_found


def test_one_that_almost_comes_is_sent_when_it_is_certain() -> None:
    matcher = StopStrings(["END."])
    assert [matcher.push(part) for part in ("one E", "ND", "! EN")] == ["one ", "", "END! "]
    assert matcher.finish() == "EN"


def test_the_leftmost_of_several_wins() -> None:
    matcher = StopStrings(["dog", "cat"])
    assert matcher.push("a cat, a dog") == "a "


def test_an_empty_stop_string_stops_nothing() -> None:
    matcher = StopStrings([""])
    assert matcher.push("text") == "text"
    assert not matcher.is_found


def test_half_a_character_at_the_end_may_complete_no_stop_string() -> None:
    text = AnswerText(["€"])
    assert text.push("€".encode()[:2]) == ""
    assert text.finish(is_cut=False) == "\ufffd"
    assert not text.is_stopped


def test_nothing_comes_after_a_stop_string() -> None:
    text = AnswerText(["."])
    assert text.push(b"one. two") == "one"
    assert text.finish(is_cut=False) == ""


def test_a_character_that_a_limit_cut_off_is_left_out() -> None:
    text = AnswerText(["EN"])
    assert text.push(b"abE") == "ab"
    assert text.push("€".encode()[:2]) == ""
    assert text.finish(is_cut=True) == "E"
