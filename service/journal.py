"""What went in and what came out, newest last, so that "why did it do that?" has an answer.

A ring in memory costs nothing to keep. It is written out when something happened that must not happen: an illegal
event, a broken invariant. A dump never raises and never fills a disk: few files, used in turn, and standard error
takes the last steps when not even a file can be had.
"""

import sys
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

import trio

from service.line_writer import LineWriter
from service.ports import Clock
from statemachines.effects import AnyEffect
from statemachines.events import AnyEvent
from statemachines.journal import Entry, Header, decode, decode_header, encode
from statemachines.limits import Limits

DUMP_FILES = 8
TAIL_STEPS = 50
"""Steps that go to standard error when no file can be written [count]."""


class RingJournal:
    """Keeps the last steps; `dump` writes them as JSON lines.

    Args:
        steps_max: how many are kept [count].
        folder: where to, at that moment; None when there is no folder that may be written to.

    Attributes:
        written: steps since the start [count]; the number of the latest one.
        dumps: how often it was written out [count].
        is_closed: no further step will come.
    """

    def __init__(
        self,
        *,
        version: str,
        limits: Limits,
        clock: Clock,
        folder: Callable[[], Path | None],
        steps_max: int,
    ) -> None:
        self._version = version
        self._limits = limits
        self._clock = clock
        self._folder = folder
        self._ring: deque[Entry] = deque(maxlen=steps_max)
        self.written = 0
        self.dumps = 0
        self.is_closed = False
        self._bell: trio.Event | None = None

    def write(self, event: AnyEvent, effects: tuple[AnyEffect, ...]) -> None:
        self._ring.append(Entry(event, effects))
        self.written += 1
        self._ring_bell()

    @property
    def kept(self) -> int:
        """Steps that the ring holds [count]."""
        return len(self._ring)

    @property
    def oldest(self) -> int:
        """Number of the oldest step that the ring holds; one more than `written` when it holds none."""
        return self.written - len(self._ring) + 1

    def read(self, first: int, steps_max: int) -> list[Entry]:
        """Steps from number ``first`` on, the oldest that the ring holds or a later one."""
        start = first - self.oldest
        assert start >= 0, "that step is gone"
        return [self._ring[index] for index in range(start, min(start + steps_max, len(self._ring)))]

    async def wait_past(self, number: int) -> None:
        """Return when there is a later step than this, or when there will be none."""
        while self.written <= number and not self.is_closed:
            if self._bell is None:
                self._bell = trio.Event()
            await self._bell.wait()

    def close(self) -> None:
        """The service has ended: nobody waits for a further step."""
        self.is_closed = True
        self._ring_bell()

    def _ring_bell(self) -> None:
        if self._bell is not None:
            self._bell.set()
            self._bell = None

    def steps(self) -> tuple[Entry, ...]:
        """What the ring holds, oldest first."""
        return tuple(self._ring)

    def dump(self, why: str) -> None:
        self.dumps += 1
        try:
            self._dump_to_file(why)
        except OSError:
            # A full disk must not hide the cause, nor end a service that could go on.
            last_resort = LineWriter(sys.stderr)
            for line in self._lines(why, tuple(self._ring)[-TAIL_STEPS:]):
                last_resort.write(line)

    def _dump_to_file(self, why: str) -> None:
        folder = self._folder()
        if folder is None:
            raise FileNotFoundError("no folder for journals")
        folder.mkdir(parents=True, exist_ok=True)
        with _next_file(folder).open("w", encoding="utf-8") as file:
            file.writelines(self._lines(why, self._ring))

    def _lines(self, why: str, steps: Iterable[Entry]) -> Iterator[str]:
        yield _line(self._header(why))
        yield from map(_line, steps)

    def _header(self, why: str) -> Header:
        now, wall = self._clock.now_ns(), self._clock.wall_ns()
        return Header(self._version, self._limits, why, now, wall, self.written)


def read_dump(path: Path) -> tuple[Header, tuple[Entry, ...]]:
    """The header and the steps of a dumped journal; the counterpart of `RingJournal.dump`."""
    header, *steps = path.read_bytes().splitlines()
    return decode_header(header), tuple(map(decode, steps))


def _next_file(folder: Path) -> Path:
    """One that is not there yet, or the oldest; what an earlier run has left counts as well."""
    files = [folder / f"journal-{number}.jsonl" for number in range(1, DUMP_FILES + 1)]
    return min(files, key=lambda file: file.stat().st_mtime_ns if file.exists() else 0)


def _line(item: Header | Entry) -> str:
    return encode(item).decode() + "\n"
