"""Log lines: two forms, honest levels, and no failure of theirs is the service's."""

import io
import json
import logging
import os
from pathlib import Path
from typing import Any

import pytest

from service.logs import foreign_logger, make_log, plain_tail, say_native
from service.seldom import Seldom


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


class FullDisk(io.StringIO):
    is_full = True

    def write(self, text: str) -> int:
        if self.is_full:
            raise OSError(28, "No space left on device")
        return super().write(text)


def test_json_lines_begin_with_when_how_bad_and_what() -> None:
    out = io.StringIO()
    make_log(log_format="json", level="info", stream=out).info("runner started", runner=3, path=Path("/x"))

    row = json.loads(out.getvalue())
    assert list(row)[:3] == ["timestamp", "level", "event"]
    assert row | {"event": "runner started", "level": "info", "runner": 3, "path": "/x"} == row


@pytest.mark.parametrize("log_format", ["json", "human"])
def test_a_name_that_is_not_utf8_is_a_line_too(log_format: str) -> None:
    out = io.TextIOWrapper(io.BytesIO(), encoding="utf-8", errors="backslashreplace")  # as standard error is
    make_log(log_format=log_format, level="info", stream=out).info("made", folder=os.fsdecode(b"/x\xff"), at=Path("/y"))

    out.flush()
    line = out.buffer.getvalue().decode()
    assert r"\udcff" in line
    assert "/y" in line


def test_human_lines_are_words() -> None:
    out = io.StringIO()
    make_log(log_format="human", level="info", stream=out).info("runner started", runner=3)

    assert "runner started" in out.getvalue()
    assert "runner=3" in out.getvalue()
    assert "\x1b" not in out.getvalue()


@pytest.mark.parametrize(("stream", "is_json"), [(Terminal(), False), (io.StringIO(), True)])
def test_auto_is_human_on_a_terminal_only(stream: io.StringIO, is_json: bool) -> None:
    make_log(log_format="auto", level="info", stream=stream).info("hello")

    assert stream.getvalue().startswith("{") is is_json


def test_lines_below_the_level_are_left_out() -> None:
    out = io.StringIO()
    log = make_log(log_format="json", level="warning", stream=out)
    log.info("quiet")
    log.warning("loud")

    assert [json.loads(line)["event"] for line in out.getvalue().splitlines()] == ["loud"]


def test_an_exception_is_written_with_its_traceback() -> None:
    out = io.StringIO()
    log = make_log(log_format="json", level="info", stream=out)
    try:
        raise ValueError("broken")
    except ValueError as error:
        log.error("it broke", exc_info=error)

    assert "ValueError: broken" in json.loads(out.getvalue())["exception"]


@pytest.mark.parametrize("log_format", ["human", "json"])
def test_a_full_disk_is_not_the_services_problem(log_format: str) -> None:
    make_log(log_format=log_format, level="info", stream=FullDisk()).info("nobody reads this")


def test_what_was_lost_is_said_when_there_is_room_again() -> None:
    out = FullDisk()
    log = make_log(log_format="json", level="info", stream=out)
    log.info("one")
    log.info("two")
    out.is_full = False
    log.info("three")
    log.info("four")

    rows = [json.loads(line) for line in out.getvalue().splitlines()]
    assert [row["event"] for row in rows[1:]] == ["three", "four"]
    assert (rows[0]["level"], rows[0]["lines"]) == ("warning", 2)
    assert "lost" in rows[0]["event"]


def test_a_closed_standard_error_is_not_the_services_problem() -> None:
    out = io.StringIO()
    log = make_log(log_format="json", level="info", stream=out)
    out.close()

    log.info("nobody reads this")


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ('{"level":"warning","text":"odd tensor"}', ("warning", "odd tensor")),
        ('{"level":"error","text":"no tensor"}', ("warning", "no tensor")),
        ('{"level":"info","text":"12 tensors"}', ("debug", "12 tensors")),
        ('{"text":"12 tensors"}', ("debug", "12 tensors")),
        (r'{"text":"a\u001b[2Jb\u009bc\u2028d\ne\tf"}', ("debug", "a\ufffd[2Jb\ufffdc\ufffdd\ufffde\tf")),
        ("ggml_abort: something", ("debug", "ggml_abort: something")),
        ("{not json}", ("debug", "{not json}")),
        ('["a list"]', ("debug", '["a list"]')),
        ('{"x":' + "[" * 2000, ("debug", '{"x":' + "[" * 2000)),
    ],
)
def test_native_output_is_debug_unless_it_says_otherwise(line: str, expected: tuple[str, str]) -> None:
    said: list[tuple[str, str]] = []

    def say(level: str, _line: str, *, text: str) -> None:
        said.append((level, text))

    say_native(say, line)

    assert said == [expected]


def test_libraries_speak_through_our_log_and_nowhere_else(capsys: pytest.CaptureFixture[str]) -> None:
    out = io.StringIO()
    logger = foreign_logger("roundhouse.test", make_log(log_format="json", level="info", stream=out))
    try:
        raise ConnectionError("gone")
    except ConnectionError:
        logger.warning("task %s failed", "x", exc_info=True)

    row: dict[str, Any] = json.loads(out.getvalue())
    assert (row["level"], row["source"]) == ("warning", "roundhouse.test")
    assert row["event"] == "task x failed: ConnectionError('gone')"
    assert capsys.readouterr().err == ""
    logging.getLogger("roundhouse.test").handlers.clear()


def test_a_library_that_repeats_itself_is_heard_now_and_then() -> None:
    out = io.StringIO()
    log = make_log(log_format="json", level="info", stream=out)
    now_s = 0
    logger = foreign_logger("roundhouse.test", log, Seldom(every_s=60, now_s=lambda: now_s))
    for _ in range(100):
        logger.error("no descriptor left")
    (first,) = out.getvalue().splitlines()
    now_s = 61
    logger.error("no descriptor left")

    assert [json.loads(line)["unsaid"] for line in (first, out.getvalue().splitlines()[-1])] == [0, 99]
    logging.getLogger("roundhouse.test").handlers.clear()


def test_a_reader_that_left_costs_neither_a_line_nor_the_exit_status() -> None:
    reader, writer = os.pipe()
    with os.fdopen(writer, "w") as stream:
        log = make_log(log_format="json", level="info", stream=stream)
        os.close(reader)
        log.info("nobody hears this")
        log.info("nor this")
    # Closing flushed what was held; it would have raised.


def test_a_runners_last_words_are_read_without_their_braces() -> None:
    tail = '{"level": "error", "text": "ops.cpp:5422: fatal error"}\nFatal Python error: Aborted'
    assert plain_tail(tail) == "ops.cpp:5422: fatal error\nFatal Python error: Aborted"
    assert plain_tail("") == ""


def test_what_was_decoded_out_of_last_words_steers_no_terminal_and_forges_no_line() -> None:
    tail = r'{"text": "gone\u001b]0;x\u0007\n12:00:00 [info] all is well"}' + "\nAborted"
    assert plain_tail(tail) == "gone\ufffd]0;x\ufffd\ufffd12:00:00 [info] all is well\nAborted"
