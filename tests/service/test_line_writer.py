"""Lines are written at once or counted as lost: into real pipes that nobody reads, full disks and closed streams."""

import io
import os
import pty
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, TextIO

import pytest

from service.line_writer import PIECE_BYTES, LineWriter

HUNG_S = 10


@dataclass
class Pipe:
    """A pipe, read only when the test says so."""

    reader: BinaryIO
    stream: TextIO

    def read(self) -> str:
        """All that is in it."""
        return (self.reader.read() or b"").decode()


@contextmanager
def pipe() -> Iterator[Pipe]:
    reader, writer = os.pipe()
    os.set_blocking(reader, False)
    with open(reader, "rb") as file, open(writer, "w") as stream:
        yield Pipe(file, stream)


def test_lines_arrive_whole_and_in_order() -> None:
    with pipe() as held:
        writer = LineWriter(held.stream)
        lines = ["one\n", "h\u00e9llo \udcff\n", "x" * (3 * PIECE_BYTES) + "\n"]
        for line in lines:
            writer.write(line)
        assert held.read() == "one\nh\u00e9llo \\udcff\n" + lines[2]
        assert writer.lost == 0


def test_a_pipe_that_nobody_reads_holds_nobody_up_and_the_lost_lines_are_counted() -> None:
    with pipe() as held:
        writer = LineWriter(held.stream)
        for number in range(20_000):
            writer.write(f"line {number}\n")
        arrived = held.read().splitlines()
        assert arrived == [f"line {number}" for number in range(len(arrived))]
        assert writer.lost == 20_000 - len(arrived) > 0


def test_a_terminal_that_hangs_holds_nobody_up_either() -> None:
    ours, theirs = pty.openpty()

    def write_more_than_it_takes() -> None:
        for _ in range(1_000):
            writer.write("x" * 300 + "\n")

    with open(ours, "rb") as screen, open(theirs, "w") as stream:
        writer = LineWriter(stream)
        writing = threading.Thread(target=write_more_than_it_takes)
        writing.start()
        writing.join(HUNG_S)
        is_held_up = writing.is_alive()
        screen.close()  # What is held up by it ends now.
        writing.join()
    assert not is_held_up
    assert writer.lost > 0


def test_a_terminal_stays_as_it_was_for_everybody_else() -> None:
    ours, theirs = pty.openpty()
    with open(ours, "rb", buffering=0) as screen, open(theirs, "w") as stream:
        LineWriter(stream).write("line\n")
        assert screen.read(6) == b"line\r\n"
        assert os.get_blocking(theirs)


def test_a_terminal_that_cannot_be_opened_once_more_is_written_to_all_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    def is_somebody_else_s(_fd: int) -> str:
        raise PermissionError

    monkeypatch.setattr(os, "ttyname", is_somebody_else_s)
    ours, theirs = pty.openpty()
    with open(ours, "rb", buffering=0) as screen, open(theirs, "w") as stream:
        LineWriter(stream).write("line\n")
        assert screen.read(6) == b"line\r\n"


def test_how_many_were_lost_is_told_before_the_next_line_that_gets_through() -> None:
    with pipe() as held:
        told: list[int] = []

        def tell(lost: int) -> None:
            told.append(lost)
            writer.write(f"{lost} lost\n")

        writer = LineWriter(held.stream, tell)
        for _ in range(20_000):
            writer.write("line\n")
        assert told
        lost, arrived = writer.lost, held.read().count("line\n")
        writer.write("after\n")
        assert held.read() == f"{lost} lost\nafter\n"
        assert lost + arrived == 20_000


def test_a_line_that_only_fitted_in_part_counts_as_lost_and_the_next_one_begins_anew() -> None:
    with pipe() as held:
        writer = LineWriter(held.stream)
        writer.write("x" * (1 << 20) + "\n")
        assert writer.lost == 1
        assert set(held.read()) == {"x"}
        writer.write("after\n")
        assert held.read() == "\nafter\n"


def test_a_full_disk_costs_lines_and_nothing_else() -> None:
    with open("/dev/full", "w") as full:
        writer = LineWriter(full)
        writer.write("one\n")
        writer.write("two\n")
        assert writer.lost == 2


def test_a_reader_that_left_is_not_asked_again() -> None:
    with pipe() as held:
        held.reader.close()
        writer = LineWriter(held.stream)
        writer.write("nobody hears this\n")
        assert os.readlink(f"/proc/self/fd/{held.stream.fileno()}") == os.devnull
        writer.write("nor this\n")


def test_a_reader_that_left_while_no_descriptor_is_left_costs_the_line(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "devnull", "/nowhere/null")
    with pipe() as held:
        held.reader.close()
        writer = LineWriter(held.stream)
        writer.write("nobody hears this\n")
        monkeypatch.undo()
        writer.write("nor this\n")
        assert os.readlink(f"/proc/self/fd/{held.stream.fileno()}") == os.devnull


@pytest.mark.parametrize("is_real", [True, False])
def test_a_closed_stream_is_no_error(tmp_path: Path, is_real: bool) -> None:
    stream = (tmp_path / "log").open("w") if is_real else io.StringIO()
    writer = LineWriter(stream)
    stream.close()
    writer.write("nobody hears this\n")
    assert writer.lost == 1
