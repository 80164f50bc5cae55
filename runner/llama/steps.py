"""The step loop of a loaded model.

Theory of operation. Between two engine steps, and between two parts of the work that makes a prompt ready, every
message that has come is obeyed, so a cancel, a thread change and an orderly stop wait for one of them at most. While
no lease is open the loop waits for the next message; while one is, it takes steps. A step evaluates what the open
lease needs next and sends at most one `Tokens`. Tokens, beats and ends of leases are the only things sent from here,
besides `ThreadsSet`.

This version has one slot. What belongs to a lease is in `Answer`, which names its slot; a step is a batch of entries,
each with the slot it is for. More slots mean more answers here, and nothing else.

A decode that fails means that the engine's state cannot be trusted: the process ends, and the service treats it as
every other crash, or as out of memory when the engine says that it was.
"""

import time
from collections.abc import Callable

from runner.llama.answer import Answer
from runner.llama.beats import Beats, Clock
from runner.llama.load import Loaded
from runner.llama.prompt import prompt_tokens
from runner.llama.sampling import accept_prompt, sampler_chain
from runner.llama.tokenizer import PromptTokenizer
from runner.tasks import CancelRead
from statemachines.errors import Refusal, RefusalCode, RemoteWireError, RequestRefused
from statemachines.units import LeaseId
from statemachines.wire.messages import (
    Cancel,
    EndReason,
    Generate,
    LeaseEnded,
    SetThreads,
    Shutdown,
    ThreadsSet,
    Tokens,
    ToRunner,
    ToService,
)

SLOT = 0
ALLOCATION_FAILED = -2
"""What `llama_decode` returns when a graph or the room for its outputs could not be allocated."""


class Abandoned(Exception):
    """A message came that ends a lease while its prompt was made ready."""


class StepFailed(Exception):
    """The engine could not evaluate a step; its log says why."""


class StepLoop:
    """Answers leases on a loaded model until it is told to stop."""

    def __init__(
        self,
        loaded: Loaded,
        receive: Callable[[], ToRunner],
        poll: Callable[[], ToRunner | None],
        send: Callable[[ToService], None],
        clock: Clock = time.monotonic_ns,
    ) -> None:
        self._loaded = loaded
        self._receive = receive
        self._poll = poll
        self._send = send
        self._clock = clock
        self._beats = Beats(send, clock)
        self._answer: Answer | None = None
        self._preparing: LeaseId | None = None
        self._must_stop = False
        self._looked_ns = 0
        self._tokenizer = PromptTokenizer(loaded.model.vocabulary, self._attend)
        loaded.context.on_node(self._beats.node)

    def run(self) -> None:
        """Serve until `Shutdown`; the open lease then ends as cancelled."""
        try:
            while not isinstance(message := self._next(), Shutdown):
                if message is None:
                    self._step()
                else:
                    self._obey(message)
            self._cancel_open(self._clock())
        finally:
            self._close()

    def _next(self) -> ToRunner | None:
        """A message, waiting for it while there is nothing else to do; None when it is time for a step."""
        if self._must_stop:
            return Shutdown()
        if self._answer is None:
            return self._receive()
        looked_ns = self._clock()
        if (message := self._poll()) is None:
            self._looked_ns = looked_ns
        return message

    def _attend(self) -> None:
        """A part of the work on a prompt is done: say so, and obey what has come."""
        self._beats.node()
        while (message := self._poll()) is not None:
            self._must_stop = isinstance(message, Shutdown)
            if self._must_stop or (isinstance(message, Cancel) and message.lease == self._preparing):
                raise Abandoned
            self._obey(message)

    def _obey(self, message: ToRunner) -> None:
        match message:
            case Generate():
                self._begin(message)
            case Cancel():
                self._cancel(message)
            case SetThreads(threads=threads):
                self._loaded.context.set_threads(threads)
                self._send(ThreadsSet(threads))
            case _:
                raise RemoteWireError(f"{type(message).__name__} makes no sense once a model is loaded")

    def _begin(self, request: Generate) -> None:
        """Take up a lease, or refuse it; either way it is answered."""
        started_ns = self._clock()
        try:
            prompt = self._prompt(request)
        except RequestRefused as error:
            self._send(LeaseEnded(request.lease, EndReason.REFUSED, refusal=error.refusal))
            return
        except Abandoned:
            self._send(LeaseEnded(request.lease, EndReason.CANCELLED))
            return
        context_tokens, vocabulary = self._loaded.facts.context_tokens, self._loaded.model.vocabulary
        sampler = sampler_chain(request.sampling, vocabulary_tokens=vocabulary.size, context_tokens=context_tokens)
        accept_prompt(sampler, request.sampling, prompt)
        self._answer = Answer(
            request,
            prompt,
            sampler,
            vocabulary=vocabulary,
            context_tokens=context_tokens,
            chunk_tokens=self._loaded.chunk_tokens,
            slot=SLOT,
            clock=self._clock,
            started_ns=started_ns,
        )

    def _prompt(self, request: Generate) -> list[int]:
        if self._answer is not None or self._preparing is not None:
            raise RequestRefused(Refusal(RefusalCode.INTERNAL, "the runner was given more leases than it has slots"))
        self._preparing = request.lease
        try:
            template, context_tokens = self._loaded.template, self._loaded.facts.context_tokens
            return prompt_tokens(request, template, self._tokenizer, context_tokens)
        finally:
            self._preparing = None

    def _cancel(self, message: Cancel) -> None:
        """A cancel is answered even when its lease is over: the two messages crossed."""
        if self._answer is not None and self._answer.request.lease == message.lease:
            self._cancel_open(self._came_ns(message))
        else:
            self._send(LeaseEnded(message.lease, EndReason.CANCELLED))

    def _came_ns(self, message: Cancel) -> int:
        """Since when a cancel could be obeyed.

        The link thread may be held up between reading the clock and handing over; then a look at the inbox that found
        nothing is later than its reading.
        """
        read_ns = message.read_ns if isinstance(message, CancelRead) else self._clock()
        return max(read_ns, self._looked_ns)

    def _cancel_open(self, came_ns: int) -> None:
        if self._answer is not None:
            self._answer.cancel(came_ns)
            self._finish(self._answer)

    def _step(self) -> None:
        answer, context = self._answer, self._loaded.context
        assert answer is not None
        entries = answer.entries()
        self._beats.begin_step()
        if status := context.decode(entries):
            failure = MemoryError if status == ALLOCATION_FAILED else StepFailed
            raise failure(f"the engine's decode returned {status} for {len(entries)} tokens")
        if (delta := answer.take(context, len(entries))) is not None:
            self._send(Tokens(self._beats.step, (delta,)))
        if answer.end is not None:
            self._finish(answer)

    def _finish(self, answer: Answer) -> None:
        """The slot is free once its cache is empty; only then is the end told."""
        self._answer = None
        answer.close()
        self._loaded.context.forget(answer.slot)
        self._send(answer.ended())

    def _close(self) -> None:
        """Free what the engine holds for a lease that an exception left open."""
        if self._answer is not None:
            self._answer.close()
            self._answer = None
