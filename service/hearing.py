"""What a runner says, turned into events, pieces of answers and log lines."""

from collections.abc import Callable, Sequence

from service.open_leases import OpenLeases
from service.output import printable
from service.reactor import Post
from service.runner_record import RunnerRecord
from statemachines import events
from statemachines.errors import RemoteWireError
from statemachines.events import MemoryBound
from statemachines.facts import LoadedFacts
from statemachines.units import format_bytes
from statemachines.wire import messages as wire
from statemachines.wire.messages import ToService


def without_overtaken(messages: Sequence[ToService]) -> list[ToService]:
    """Of messages that came at once: all but each `Beat` and `Progress` that a later one of its kind makes old.

    Why: each becomes an event. One read holds thousands when the runner floods its link, or when we did not read for a
    while, and the reactor handles in one go whatever waits. Both carry counts that only grow, so the last says it all.
    """
    last = {type(message): index for index, message in enumerate(messages)}
    return [
        message
        for index, message in enumerate(messages)
        if not isinstance(message, wire.Beat | wire.Progress) or last[type(message)] == index
    ]


class Hearing:
    """Hears one incarnation.

    Args:
        on_hello: called when the runner has answered.
        bound: tells the limit on its memory.

    Attributes:
        loaded: what it holds; None until it is READY.
    """

    def __init__(
        self,
        record: RunnerRecord,
        leases: OpenLeases,
        *,
        post: Post,
        on_hello: Callable[[], None],
        bound: Callable[[], MemoryBound | None],
    ) -> None:
        self._record = record
        self._leases = leases
        self._post = post
        self._on_hello = on_hello
        self._bound = bound
        self.loaded: LoadedFacts | None = None

    def hear(self, message: ToService) -> None:
        """One message.

        Raises:
            RemoteWireError: it belongs to another task.
        """
        runner = self._record.runner
        match message:
            case wire.Tokens():
                for delta in message.deltas:
                    self._leases.feed(delta)
            case wire.LeaseEnded():
                self._leases.hear_end(message)
            case wire.Beat():
                self._post(events.RunnerBeat(runner=runner, step=message.step, progress=message.progress))
            case wire.ThreadsSet():
                self._post(events.ThreadsChanged(runner=runner, threads=message.threads))
            case wire.Progress():
                self._post(events.LoadProgressed(runner=runner, done_ppm=message.done_ppm))
            case _:
                self._hear_milestone(message)

    def _hear_milestone(self, message: ToService) -> None:
        """What comes once in a runner's life, and is worth a line."""
        match message:
            case wire.Hello():
                self._hear_hello(message)
            case wire.Ready():
                self._hear_ready(message)
            case wire.LoadFailed():
                self._hear_failure(message)
            case _:
                raise RemoteWireError(f"{type(message).__name__} belongs to another task")

    def _hear_hello(self, hello: wire.Hello) -> None:
        self._record.status = "loading model"
        bound = self._bound()
        limits = {} if bound is None else {"memory_max": format_bytes(bound.limit_bytes), "memory_limit": bound.kind}
        self._record.say("info", "runner answered", phase="hello", engine=printable(hello.engine), **limits)
        self._on_hello()

    def _hear_failure(self, failed: wire.LoadFailed) -> None:
        message = printable(failed.message)
        self._record.say("warning", "load failed", phase="load", kind=failed.kind, reason=message)
        runner, bound = self._record.runner, self._bound()
        self._post(events.LoadFailed(runner=runner, kind=failed.kind, message=message, bound=bound))

    def _hear_ready(self, ready: wire.Ready) -> None:
        self._record.status = "ok"
        self.loaded = ready.loaded
        devices = {row.device: format_bytes(row.own_bytes + row.mapped_bytes) for row in ready.report.devices}
        context_tokens = ready.loaded.context_tokens
        self._record.say("info", "model loaded", phase="load", devices=devices, context_tokens=context_tokens)
        self._post(events.ModelLoaded(runner=self._record.runner, loaded=ready.loaded, report=ready.report))
