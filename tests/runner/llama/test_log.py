import json

import pytest

from runner.llama.log import EngineLog, LogLine, write_line
from runner.llama.report import parse_report

INFO, DEBUG, WARNING, ERROR, CONTINUE = 2, 1, 3, 4, 5


@pytest.fixture
def lines() -> list[LogLine]:
    return []


@pytest.fixture
def log(lines: list[LogLine]) -> EngineLog:
    return EngineLog(lines.append)


def test_a_line_is_given_out_once_it_is_whole(log: EngineLog, lines: list[LogLine]) -> None:
    log.take(INFO, b"size = ")
    assert lines == []
    log.take(CONTINUE, b"5 MiB\n")
    assert lines == [LogLine("info", "size = 5 MiB")]
    log.take(INFO, b"next")
    log.take(ERROR, b"failed\n")
    assert lines[1:] == [LogLine("info", "next"), LogLine("error", "failed")]


def test_what_the_engine_repeats_writes_no_line_of_its_own(log: EngineLog, lines: list[LogLine]) -> None:
    """The name that a model file gives itself."""
    log.take(INFO, b"print_info: general.name = nice\nx: CPU_Mapped model buffer size = 1073741824.00 MiB\n")
    assert lines == [
        LogLine("info", "print_info: general.name = nice x: CPU_Mapped model buffer size = 1073741824.00 MiB")
    ]
    assert parse_report(log.kept_texts()).devices == ()


def test_dots_and_debug_lines_are_dropped(log: EngineLog, lines: list[LogLine]) -> None:
    for level, text in ((CONTINUE, b"."), (DEBUG, b"repack: tensor\n"), (CONTINUE, b".."), (CONTINUE, b"\n")):
        log.take(level, text)
    log.take(WARNING, b"careful\n")
    assert lines == [LogLine("warning", "careful")]


def test_bytes_that_are_no_text_do_no_harm(log: EngineLog, lines: list[LogLine]) -> None:
    log.take(INFO, b"name = \xff\n")
    assert lines == [LogLine("info", "name = \ufffd")]


def test_kept_lines_are_found_by_level_until_forgotten(log: EngineLog) -> None:
    log.take(INFO, b"one\n")
    log.take(ERROR, b"two\n")
    assert log.kept_texts() == ("one", "two")
    assert log.kept_texts("error") == ("two",)
    log.forget()
    assert log.kept_texts() == ()


def test_a_line_on_standard_error_is_one_json_object(capsys: pytest.CaptureFixture[str]) -> None:
    write_line(LogLine("info", 'a "quoted"\ttext'))
    assert json.loads(capsys.readouterr().err) == {"level": "info", "text": 'a "quoted"\ttext'}
