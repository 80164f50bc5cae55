"""Log lines: for a person on a terminal, or one JSON object per line; always on standard error.

Honest levels: an *error* is something that an operator has to act on, a *warning* something that will hurt if it goes
on, *info* what an operator wants to see on a quiet day, *debug* the rest. A client that leaves, a late event and
"nothing to unload" are none of the first three. Writing a line neither ends the service nor holds it up: with a full
disk, or a standard error that nobody reads, lines are lost and counted, and requests are answered.
"""

import json
import logging
import sys
from collections.abc import Callable
from typing import TextIO

import msgspec
import structlog
from structlog.typing import EventDict, FilteringBoundLogger, Processor

from service.line_writer import LineWriter
from service.output import printable
from service.seldom import Seldom
from statemachines.decoding import UNDECODABLE

LEVELS = {"debug": logging.DEBUG, "info": logging.INFO, "warning": logging.WARNING, "error": logging.ERROR}


class Lines:
    """What structlog calls with a finished line, at whatever level."""

    def __init__(self, out: LineWriter) -> None:
        self._out = out

    def msg(self, line: str) -> None:
        self._out.write(line + "\n")

    debug = info = warning = error = critical = msg


def make_log(*, log_format: str, level: str, stream: TextIO | None = None) -> FilteringBoundLogger:
    """The service's logger; everything of ours logs through it or through what it was bound to.

    Args:
        log_format: ``human``, ``json``, or ``auto``: human on a terminal.
        stream: standard error unless a test wants to read along.
    """
    out = stream if stream is not None else sys.stderr
    is_json = log_format == "json" or (log_format == "auto" and not out.isatty())

    def tell_gap(lost: int) -> None:
        log.warning("log lines were lost: nobody read them, or the disk was full", lines=lost)

    log: FilteringBoundLogger = structlog.wrap_logger(
        Lines(LineWriter(out, tell_gap)),
        processors=_processors(is_json=is_json, colors=out.isatty()),
        wrapper_class=structlog.make_filtering_bound_logger(LEVELS[level]),
        cache_logger_on_first_use=True,
    )
    return log


def _processors(*, is_json: bool, colors: bool) -> list[Processor]:
    shared: list[Processor] = [structlog.processors.add_log_level, structlog.processors.format_exc_info]
    if is_json:
        stamp = structlog.processors.TimeStamper(fmt="iso", utc=True)
        return [*shared, stamp, _head_first, structlog.processors.JSONRenderer(serializer=_to_json)]
    stamp = structlog.processors.TimeStamper(fmt="%H:%M:%S", utc=False)
    return [*shared, stamp, structlog.dev.ConsoleRenderer(colors=colors, pad_event_to=0)]


def _head_first(_logger: object, _method: str, fields: EventDict) -> EventDict:
    """When, how bad, what: in this order, for people who read JSON lines by eye."""
    return {name: fields.pop(name) for name in ("timestamp", "level", "event") if name in fields} | dict(fields)


def _to_json(event: object, **_: object) -> str:
    try:
        return msgspec.json.encode(event, enc_hook=str).decode()
    except UnicodeEncodeError:  # the name of a file or of a variable may be any bytes
        return json.dumps(event, default=str)


class ForeignLines(logging.Handler):
    """Brings the lines of libraries (the HTTP server) into our log, at their own level.

    Args:
        complaint: how often; None for every one.
    """

    def __init__(self, log: FilteringBoundLogger, complaint: Seldom | None = None) -> None:
        super().__init__()
        self._log = log
        self._complaint = complaint

    def emit(self, record: logging.LogRecord) -> None:
        if self._complaint is not None and not self._complaint.lets_through():
            return
        text = record.getMessage()
        if record.exc_info and record.exc_info[1] is not None:
            text = f"{text}: {record.exc_info[1]!r}"
        unsaid = {} if self._complaint is None else {"unsaid": self._complaint.take_held()}
        self._log.log(record.levelno, text, source=record.name, **unsaid)


def foreign_logger(name: str, log: FilteringBoundLogger, complaint: Seldom | None = None) -> logging.Logger:
    """A standard library logger of this name that speaks through ``log`` only."""
    logger = logging.getLogger(name)
    logger.handlers = [ForeignLines(log, complaint)]
    logger.propagate = False
    return logger


class NativeLine(msgspec.Struct, frozen=True):
    """What a runner prints: a line of its own log, or whatever the engine wrote."""

    text: str
    level: str = "debug"


def parse_native(line: str) -> NativeLine:
    """A JSON object of `NativeLine`'s shape, or plain text, which counts as debug; one harmless line either way."""
    try:
        native = msgspec.json.decode(line, type=NativeLine)
    except UNDECODABLE:
        native = NativeLine(line)
    return msgspec.structs.replace(native, text=printable(native.text))


def plain_tail(tail: str) -> str:
    """The last lines of a runner as a person reads them: our own JSON lines without their braces."""
    return "\n".join(parse_native(line).text for line in tail.splitlines())


def say_native(say: Callable[..., None], line: str) -> None:
    """Native output at debug; what the engine calls a warning or an error at warning: the typed error comes later.

    Args:
        say: writes a line at a level, such as `service.runner_record.RunnerRecord.say`.
    """
    native = parse_native(line.rstrip())
    is_bad = native.level in ("warning", "warn", "error")
    say("warning" if is_bad else "debug", "engine says", text=native.text)
