"""A request's side of its lease: what the core says about it, and the answer as it comes.

Wake-ups cannot be lost: everything that the core says is kept in order until the handler takes it. A crash that
nobody has seen anything of is not told to the caller: the core grants again and the answer starts from the beginning.
"""

from collections import deque
from collections.abc import AsyncIterator, Callable

import msgspec
import trio

from service.front import Answer
from service.incarnation import Incarnation
from service.streams import Item, LeaseStream, Loss
from statemachines.errors import LocalWireError, Refusal, RefusalCode, RequestRefused, RoundhouseError, RunnerFailed
from statemachines.facts import LoadedFacts
from statemachines.wire.messages import Delta, EndReason, Generate, LeaseEnded


class Granted(msgspec.Struct, frozen=True):
    """A lease: where it is, and the stream that its answer comes on."""

    incarnation: Incarnation
    stream: LeaseStream

    def ask(self, generate: Generate) -> None:
        """Send the question.

        Raises:
            RequestRefused: it is larger than the link takes.
        """
        try:
            self.incarnation.leases.ask(msgspec.structs.replace(generate, lease=self.stream.lease))
        except LocalWireError:
            message = "the prompt is larger than the server can hand to a model; send a smaller one"
            raise RequestRefused(Refusal(RefusalCode.INVALID, message)) from None


class PendingRequest:
    """The core's words about one request, in order: a grant or a refusal, and after a lost lease one more."""

    def __init__(self) -> None:
        self._words: deque[Granted | Refusal] = deque()
        self._bell = trio.Event()

    def tell(self, word: Granted | Refusal) -> None:
        self._words.append(word)
        self._bell.set()

    async def granted(self) -> Granted:
        """Wait for the next word.

        Raises:
            RequestRefused, RunnerFailed: the word is no.
        """
        while not self._words:
            self._bell = trio.Event()
            await self._bell.wait()
        word = self._words.popleft()
        if isinstance(word, Refusal):
            raise as_error(word)
        return word


class HeldLease:
    """`service.front.Lease`, once granted. One question per lease.

    Args:
        on_text: called when the first text of the answer is here.

    Attributes:
        load_ns: how long the request waited for it [ns].
    """

    def __init__(
        self, pending: PendingRequest, granted: Granted, *, load_ns: int, on_text: Callable[[], None] | None = None
    ) -> None:
        self._pending = pending
        self._granted = granted
        self._on_text = on_text
        self.load_ns = load_ns

    @property
    def loaded(self) -> LoadedFacts:
        loaded = self._granted.incarnation.loaded
        assert loaded is not None, "a lease is granted on READY runners only"
        return loaded

    def stream(self, generate: Generate) -> AsyncIterator[Delta | LeaseEnded]:
        """See `service.front.Lease.stream`."""
        self._granted.ask(generate)
        return self._stream(generate)

    async def _stream(self, generate: Generate) -> AsyncIterator[Delta | LeaseEnded]:
        while True:
            item = await self._take(counts_as_sent=True)
            if isinstance(item, Loss):
                await self._ask_again(generate)
                continue
            if isinstance(item, LeaseEnded):
                yield checked(item)
                return
            yield item

    async def collect(self, generate: Generate) -> Answer:
        """See `service.front.Lease.collect`."""
        texts: list[str] = []
        self._granted.ask(generate)
        while True:
            item = await self._take(counts_as_sent=False)
            if isinstance(item, Loss):
                texts.clear()
                await self._ask_again(generate)
                continue
            if isinstance(item, LeaseEnded):
                return Answer("".join(texts), checked(item))
            texts.append(item.text)

    async def _take(self, *, counts_as_sent: bool) -> Item:
        item = await self._granted.stream.take(counts_as_sent=counts_as_sent)
        if self._on_text is not None and isinstance(item, Delta):
            self._on_text()
            self._on_text = None
        return item

    async def _ask_again(self, generate: Generate) -> None:
        """The lease was lost. The core says what now: another one, or why not."""
        self._granted = await self._pending.granted()
        self._granted.ask(generate)


def checked(ended: LeaseEnded) -> LeaseEnded:
    """The runner's last word, unless it is that the question cannot be answered.

    Raises:
        RequestRefused: the runner's own reason.
    """
    if ended.reason is EndReason.REFUSED:
        unsaid = Refusal(RefusalCode.INTERNAL, "the model's runner refused the request without a reason")
        raise RequestRefused(ended.refusal or unsaid)
    return ended


def as_error(refusal: Refusal) -> RoundhouseError:
    """What a handler raises: a runner that died or hung is its own kind of failure."""
    if refusal.code in (RefusalCode.RUNNER_CRASHED, RefusalCode.RUNNER_WEDGED):
        return RunnerFailed(refusal)
    return RequestRefused(refusal)
