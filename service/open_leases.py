"""The leases that are open on one runner, and the one place where each of them ends.

Theory of operation. The core's grant opens a lease; the handler asks (`ask`); it ends by the runner's word, here (when
it was cancelled before anything was asked, so that the runner never knew of it), or with the runner. Each end posts
one `LeaseEnded` and closes one stream. What comes for a lease that is over is late and is dropped.
"""

from collections.abc import Callable

from service.ports import Clock
from service.reactor import Post
from service.runner_record import RunnerRecord
from service.streams import LeaseStream
from statemachines import events
from statemachines.events import Exit, LeaseOutcome, MemoryBound
from statemachines.units import LeaseId
from statemachines.wire.messages import Cancel, Delta, EndReason, Generate, LeaseEnded, ToRunner


class OpenLeases:
    """Leases of one incarnation.

    Args:
        send: puts a message on its way to the runner.
        on_end: told the runner's last word about each lease.
    """

    def __init__(
        self,
        record: RunnerRecord,
        *,
        post: Post,
        post_next: Post,
        send: Callable[[ToRunner], None],
        clock: Clock,
        stall_ns: int,
        on_end: Callable[[LeaseEnded], None],
    ) -> None:
        self._record = record
        self._post = post
        self._post_next = post_next
        self._send = send
        self._clock = clock
        self._stall_ns = stall_ns
        self._on_end = on_end
        self._streams: dict[LeaseId, LeaseStream] = {}
        self._asked: set[LeaseId] = set()
        self._cancelled: set[LeaseId] = set()
        self._is_closed = False
        self._ran_out: Exit | None = None

    def __len__(self) -> int:
        return len(self._streams)

    def open(self, lease: LeaseId) -> LeaseStream:
        """A stream for a lease that the core has granted. On a runner that is gone it is lost from the start."""
        stream = LeaseStream(lease, clock=self._clock, stall_ns=self._stall_ns, on_stall=self._cut_off)
        self._streams[lease] = stream
        if self._is_closed:
            # The grant crossed the runner's closing event, which waits in the inbox: its end comes before that.
            self._lose(lease, self._post_next)
        return stream

    def ask(self, generate: Generate) -> None:
        """Send the question; a lease that is over has nobody to ask.

        Raises:
            LocalWireError: it is too large for the link.
        """
        if generate.lease in self._streams:
            self._send(generate)
            self._asked.add(generate.lease)

    def cancel(self, lease: LeaseId) -> None:
        """End it early: by the runner, or here when the runner does not know of it."""
        if lease in self._asked:
            self._cancelled.add(lease)
            self._send(Cancel(lease))
        elif lease in self._streams:
            self._end(lease, LeaseOutcome.CANCELLED)

    def feed(self, delta: Delta) -> None:
        stream = self._streams.get(delta.lease)
        if stream is not None:
            stream.feed(delta)

    def hear_end(self, ended: LeaseEnded) -> None:
        """The runner's last word about a lease, or its answer to a Cancel that crossed it."""
        if ended.lease not in self._streams:
            self._record.say("debug", "a lease ended twice", lease=ended.lease)
            return
        self._on_end(ended)
        stream = self._streams[ended.lease]
        if ended.reason is not EndReason.CANCELLED and not stream.has_stalled:
            stream.end(ended)
            self._end(ended.lease, LeaseOutcome.FINISHED)
        elif ended.lease in self._cancelled:
            self._end(ended.lease, LeaseOutcome.CANCELLED)
        else:
            # Somebody else has sent it a SIGTERM: it is about to leave, and its requests are lost as by any other end.
            self._record.say("warning", "the runner has broken off an answer by itself", lease=ended.lease)
            self._end(ended.lease, LeaseOutcome.CRASHED)

    def lose_all(self, end: Exit | None = None) -> None:
        """The runner says no more. Leases that the core still grants on it are lost as they come.

        Args:
            end: how its process has ended, if that is known.
        """
        self._is_closed = True
        self._ran_out = end if end is not None and end.was_out_of_memory else None
        for lease in tuple(self._streams):
            self._lose(lease, self._post)

    def _lose(self, lease: LeaseId, post: Post) -> None:
        if self._ran_out is None:
            self._end(lease, LeaseOutcome.CRASHED, post)
        else:
            self._end(lease, LeaseOutcome.OUT_OF_MEMORY, post, self._ran_out.bound)

    def _end(
        self, lease: LeaseId, outcome: LeaseOutcome, post: Post | None = None, bound: MemoryBound | None = None
    ) -> None:
        stream = self._streams.pop(lease)
        self._asked.discard(lease)
        self._cancelled.discard(lease)
        stream.lose()
        ended = events.LeaseEnded(
            runner=self._record.runner, lease=lease, outcome=outcome, sent=stream.sent, bound=bound
        )
        (post or self._post)(ended)

    def _cut_off(self, lease: LeaseId) -> None:
        self._record.say("info", "a client reads nothing, its answer is cancelled", lease=lease)
        self.cancel(lease)
