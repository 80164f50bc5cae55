"""One lease's answer on its way from the runner's link to the handler. Tokens never pass through the reactor.

Theory of operation. The link task *feeds* and must not wait: it serves all leases of its runner, and one client that
does not read may stall nobody but itself. The handler *takes* and may wait. Between them lies at most one piece: text
that is not taken is joined to the text before it, so what is held is bounded by the answer, the answer by
`ANSWER_BYTES_MAX`, and nothing by the number of steps or by how soon the runner obeys a Cancel.

A client is stalled when a piece has lain here for `client_stall_ns`. No timer watches for that: the runner goes on
making tokens for as long as it holds the lease, so the next step notices; once the runner is done, the slot is free
and a slow client costs nobody anything. From the stall on text is dropped, so such an answer is never whole again: it
is lost, whatever the runner's last word is.

``sent`` is decided where a piece is taken, in the same breath: before, a crash leaves nothing behind and the request
may be tried again; after, it may not.
"""

from collections.abc import Callable
from enum import Enum

import msgspec
import trio

from service.ports import Clock
from statemachines.units import MIB, LeaseId
from statemachines.wire.messages import Delta, LeaseEnded

ANSWER_BYTES_MAX = 16 * MIB
"""Text that may wait for one client [bytes, counted as characters]; beyond it the client counts as stalled."""


class Loss(Enum):
    """The lease is over and its answer is not whole; the core says what comes next."""

    LOST = "lost"


Item = Delta | LeaseEnded | Loss


class LeaseStream:
    """The channel of one lease: `feed` and `end` on the link's side, `take` on the handler's.

    Args:
        on_stall: called once, when the client has read nothing for ``stall_ns``.
    """

    def __init__(self, lease: LeaseId, *, clock: Clock, stall_ns: int, on_stall: Callable[[LeaseId], None]) -> None:
        self.lease = lease
        self.sent = False
        self._clock = clock
        self._stall_ns = stall_ns
        self._on_stall: Callable[[LeaseId], None] | None = on_stall
        self._pieces: list[str] = []
        self._tokens = 0
        self._held = 0
        self._since_ns = 0
        self._end: LeaseEnded | Loss | None = None
        self._bell = trio.Event()

    @property
    def is_over(self) -> bool:
        return self._end is not None

    @property
    def has_stalled(self) -> bool:
        """Whether text was dropped because nobody took what was there: such an answer is lost, not ended."""
        return self._on_stall is None

    def feed(self, delta: Delta) -> None:
        """One step's share; joins what is already there."""
        if self.is_over:
            return
        self._judge()
        if not self.has_stalled:
            self._add(delta.text, delta.tokens)

    def end(self, ended: LeaseEnded) -> None:
        """The runner's last word. Text that it held back for a stop string belongs to the answer."""
        if self.is_over:
            return
        self._add(ended.rest, 0)
        self._finish(msgspec.structs.replace(ended, rest=""))

    def lose(self) -> None:
        """No last word will come. What nobody has seen is dropped: another runner may answer from the start."""
        if self.is_over:
            return
        if not self.sent:
            self._clear()
        self._finish(Loss.LOST)

    async def take(self, *, counts_as_sent: bool) -> Item:
        """The next piece, then the end, as often as asked for; a checkpoint before anything is taken."""
        await trio.lowlevel.checkpoint()
        while not self._pieces and self._end is None:
            self._bell = trio.Event()
            await self._bell.wait()
        if self._pieces:
            return self._take_piece(counts_as_sent)
        assert self._end is not None
        return self._end

    def _take_piece(self, counts_as_sent: bool) -> Delta:
        self.sent = self.sent or counts_as_sent
        delta = Delta(self.lease, "".join(self._pieces), self._tokens)
        self._clear()
        return delta

    def _add(self, text: str, tokens: int) -> None:
        """A step without text (half a character, the beginning of a stop string) only counts its tokens."""
        self._tokens += tokens
        if not text:
            return
        if not self._pieces:
            self._since_ns = self._clock.now_ns()
        self._pieces.append(text)
        self._held += len(text)
        self._bell.set()

    def _judge(self) -> None:
        """Has what lies here lain too long, or grown too large?"""
        if self._on_stall is None or not self._pieces:
            return
        lain_ns = self._clock.now_ns() - self._since_ns
        if lain_ns > self._stall_ns or self._held > ANSWER_BYTES_MAX:
            on_stall, self._on_stall = self._on_stall, None
            on_stall(self.lease)

    def _clear(self) -> None:
        self._pieces.clear()
        self._tokens = self._held = 0

    def _finish(self, end: LeaseEnded | Loss) -> None:
        self._end = end
        self._bell.set()
