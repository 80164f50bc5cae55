"""Output as lines: bounded, complete, and harmless to a terminal."""

from hypothesis import given
from hypothesis import strategies as st

from service.output import LINE_BYTES_MAX, TAIL_LINES_MAX, Lines, printable


def test_lines_come_when_they_are_complete() -> None:
    lines = Lines()
    assert lines.feed(b"one\ntw") == ["one"]
    assert lines.feed(b"o\n\n  \nthree") == ["two"]
    assert lines.end() == ["three"]
    assert lines.end() == []
    assert lines.tail == "one\ntwo\nthree"


def test_a_progress_bar_is_lines_too() -> None:
    assert Lines().feed(b"10 %\r20 %\r\ndone\n") == ["10 %", "20 %", "done"]


def test_a_character_cut_in_two_is_whole_again() -> None:
    lines = Lines()
    assert lines.feed("für 🚂\n".encode()[:7]) == []
    assert lines.feed("für 🚂\n".encode()[7:]) == ["für 🚂"]


def test_what_would_rewrite_a_terminal_is_replaced() -> None:
    said = "a\x1b[2Jb\x00c\x9bd\u2028e\tf\n"
    assert Lines().feed(said.encode()) == ["a\ufffd[2Jb\ufffdc\ufffdd\ufffde\tf"]


def test_a_text_that_is_to_be_one_line_has_no_line_end_either() -> None:
    assert printable("a\nb\r\x1b[2J\u0085c\td 🚂") == "a\ufffdb\ufffd\ufffd[2J\ufffdc\td 🚂"


def test_a_line_without_end_is_cut_and_the_next_one_is_not() -> None:
    lines = Lines()
    for _ in range(100):
        assert lines.feed(b"x" * 1000) == []
    assert lines.feed(b"\nshort\n") == ["x" * LINE_BYTES_MAX + " [cut]", "short"]


def test_the_tail_keeps_the_last_lines() -> None:
    lines = Lines()
    lines.feed(b"".join(b"%d\n" % number for number in range(1000)))
    assert lines.tail.split("\n") == [str(number) for number in range(1000 - TAIL_LINES_MAX, 1000)]


@given(st.lists(st.binary(max_size=50), max_size=10))
def test_lines_do_not_depend_on_how_the_bytes_were_cut(pieces: list[bytes]) -> None:
    whole, cut = Lines(), Lines()
    expected = whole.feed(b"".join(pieces)) + whole.end()
    assert [line for piece in pieces for line in cut.feed(piece)] + cut.end() == expected
    assert "\n" not in "".join(expected)
