"""Runs a piece of code that may be hostile under a limit of processor time and of memory.

A chat template comes with a model file: anybody's program, run inside the process that holds the model. Jinja's
sandbox bounds what it can reach, not what it can use. Two limits of the operating system do:

- a timer of processor time raises `OutOfBounds` in the main thread. It ends loops, however they are written.
- a soft limit on the data segment, a little above what the process has, makes every large allocation fail with
  MemoryError, by whatever filter or operator it is asked for. (Linux; elsewhere only the template's own checks hold.)
- a second timer, for what the first cannot end: a single operation in C may take hours on little memory (comparing
  two lists that contain the same lists a thousand times over), and hears no exception meanwhile; nor does any other
  thread run, so that even the end of the link goes unheard. That timer's signal ends the process.

Runs in the main thread only: that is where Python delivers signals.
"""

import resource
import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from types import FrameType
from typing import NoReturn, TypeVar

Result = TypeVar("Result")

RETRY_S = 0.1
"""The timer fires again after this, in case something swallowed the exception (a destructor does)."""
CPU_S_BEYOND = 3.0
"""Processor time in which the first timer should have been heard; then the process ends."""

_STATM = Path("/proc/self/statm")
_DATA_PAGES = 5


class OutOfBounds(BaseException):
    """More processor time or memory than allowed. No Exception, so that no filter's own handler catches it."""


def run_bounded(code: Callable[[], Result], *, cpu_s: float, memory_bytes: int) -> Result:
    """Run `code` with at most `cpu_s` of processor time and about `memory_bytes` more memory.

    Raises:
        OutOfBounds: it took more of either; the message says which.
    """
    try:
        with _memory_limit(memory_bytes), _time_limit(cpu_s):
            return code()
    except MemoryError:
        raise OutOfBounds("memory") from None


@contextmanager
def _time_limit(cpu_s: float) -> Iterator[None]:
    before = signal.signal(signal.SIGPROF, _out_of_time)
    signal.signal(signal.SIGVTALRM, signal.SIG_DFL)
    try:
        try:
            signal.setitimer(signal.ITIMER_VIRTUAL, cpu_s + CPU_S_BEYOND)
            signal.setitimer(signal.ITIMER_PROF, cpu_s, RETRY_S)
            yield
        finally:
            _stop_timers()
    finally:  # the timer may have fired on the line above, before it was stopped; it takes RETRY_S to do so again
        _stop_timers()
        signal.signal(signal.SIGPROF, before)


def _stop_timers() -> None:
    signal.setitimer(signal.ITIMER_PROF, 0)
    signal.setitimer(signal.ITIMER_VIRTUAL, 0)


def _out_of_time(_signal: int, _frame: FrameType | None) -> NoReturn:
    raise OutOfBounds("time")


@contextmanager
def _memory_limit(memory_bytes: int) -> Iterator[None]:
    soft, hard = resource.getrlimit(resource.RLIMIT_DATA)
    limit = _data_bytes() + memory_bytes
    if limit == memory_bytes or (soft != resource.RLIM_INFINITY and soft <= limit):
        yield  # unknown here, or already as tight
        return
    resource.setrlimit(resource.RLIMIT_DATA, (limit, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_DATA, (soft, hard))


def _data_bytes() -> int:
    """What the process holds of what RLIMIT_DATA counts [bytes]; 0 where the system does not say."""
    if not _STATM.exists():
        return 0
    return int(_STATM.read_text().split()[_DATA_PAGES]) * resource.getpagesize()
