"""What a runner process can be started for. Imported when chosen: ``facts`` must stay free of the engine."""

from collections.abc import Callable, Mapping

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


class CancelRead(Cancel, frozen=True):
    """A cancel as the link thread hands it to a task; never on the wire.

    Attributes:
        read_ns: when it was read from the socket, by the monotonic clock.
    """

    read_ns: int


def _serve(receive: Receive, poll: Poll, send: Send) -> int:
    from runner.llama.task import run

    return run(receive, poll, send)


def _facts(receive: Receive, poll: Poll, send: Send) -> int:
    from runner.facts.task import run

    return run(receive, poll, send)


TASKS: Mapping[Task, Run] = {Task.SERVE: _serve, Task.FACTS: _facts}
