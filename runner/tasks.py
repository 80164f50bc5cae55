"""What a runner process can be started for. Imported when chosen: ``facts`` must stay free of the engine."""

from collections.abc import Callable, Mapping
from typing import NamedTuple

from statemachines.wire.link import Task
from statemachines.wire.messages import Cancel, ToRunner, ToService

Receive = Callable[[], ToRunner]
"""The next message, waiting for it."""
Poll = Callable[[], ToRunner | None]
"""The next message, if there is one."""
Send = Callable[[ToService], None]
"""Hand over a message; never waits."""

Run = Callable[[Receive, Poll, Send], int]
"""A task: takes messages, sends messages, returns the exit status. It never sees `Hello`."""


Prepare = Callable[[], str]
"""What takes time and needs no order: done before the process greets. Engine and version; empty without an engine."""


def nothing_to_prepare() -> str:
    return ""


class Work(NamedTuple):
    """One task."""

    run: Run
    prepare: Prepare = nothing_to_prepare


class CancelRead(Cancel, frozen=True):
    """A cancel as the link thread hands it to a task; never on the wire.

    Attributes:
        read_ns: when it was read from the socket, by the monotonic clock.
    """

    read_ns: int


def _serve(receive: Receive, poll: Poll, send: Send) -> int:
    from runner.llama.task import run

    return run(receive, poll, send)


def _prepare_to_serve() -> str:
    from runner.llama.task import prepare

    return prepare()


def _facts(receive: Receive, poll: Poll, send: Send) -> int:
    from runner.facts.task import run

    return run(receive, poll, send)


TASKS: Mapping[Task, Work] = {Task.SERVE: Work(_serve, _prepare_to_serve), Task.FACTS: Work(_facts)}
