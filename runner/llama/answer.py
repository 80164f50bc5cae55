"""One lease: a prompt that is evaluated chunk by chunk, then an answer that is made token by token.

An answer ends
1. when it is cancelled;
2. at once behind the prompt, when no token was asked for;
3. with an end token, which is no part of it;
4. with a stop string, which is no part of its text, but its tokens count;
5. with the last token that was asked for;
6. with the last token for which the context has room: nothing is shifted out.
"""

from collections import deque
from collections.abc import Callable, Sequence

import msgspec

from runner.llama.grid import chunk_end
from runner.llama.library import BatchEntry, Context, SamplerChain, Vocabulary
from runner.llama.text import AnswerText
from statemachines.wire.messages import Delta, EndReason, Generate, LeaseEnded, Usage

CONTEXTS_PREDICTED_MAX = 10
"""Ollama's cap on `num_predict`, in contexts."""
DECODES_REMEMBERED = 8
"""More than ever come after a cancel [count]."""


class Answer:
    """State of one lease on one slot.

    Args:
        prompt: token ids, at least one, fewer than `context_tokens`.
        slot: the engine's sequence number.
        started_ns: when the request was taken up, by `clock`.
    """

    def __init__(
        self,
        request: Generate,
        prompt: Sequence[int],
        sampler: SamplerChain,
        *,
        vocabulary: Vocabulary,
        context_tokens: int,
        chunk_tokens: int,
        slot: int,
        clock: Callable[[], int],
        started_ns: int,
    ) -> None:
        self.request = request
        self.slot = slot
        self._prompt = list(prompt)
        self._made: list[int] = []
        self._evaluated = 0
        self._sampler = sampler
        self._vocabulary = vocabulary
        self._chunk_tokens = chunk_tokens
        self._tokens_max = min(_tokens_wanted(request.num_predict, context_tokens), context_tokens - len(prompt))
        self._text = AnswerText(request.stop)
        self._clock = clock
        self._times_ns = [started_ns]
        self._decoded_ns: deque[int] = deque(maxlen=DECODES_REMEMBERED)
        self._decodes_after_cancel = 0
        self.end: EndReason | None = None

    def cancel(self, came_ns: int) -> None:
        """End before the next step, for a cancel that came at `came_ns` by the clock. (1)"""
        self.end = EndReason.CANCELLED
        self._decodes_after_cancel = sum(decoded_ns > came_ns for decoded_ns in self._decoded_ns)

    def entries(self) -> list[BatchEntry]:
        """What the next step evaluates for this lease: a chunk of the prompt, or the token made last."""
        position, length = self._evaluated, len(self._prompt)
        if position >= length:
            return [BatchEntry(self._made[-1], position, self.slot, True)]
        end = chunk_end(position, length, self._chunk_tokens)
        tokens = enumerate(self._prompt[position:end], position)
        return [BatchEntry(token, at, self.slot, at == length - 1) for at, token in tokens]

    def take(self, context: Context, count: int) -> Delta | None:
        """Note that a step evaluated `count` tokens of this lease; what it made, if it made a token."""
        self._evaluated += count
        self._decoded_ns.append(self._clock())
        if self._evaluated < len(self._prompt):
            return None
        if not self._made:
            self._times_ns.append(self._decoded_ns[-1])
        if not self._tokens_max:
            self.end = EndReason.LENGTH  # (2)
            return None
        return self._add(self._sampler.sample(context, -1))

    def _add(self, token: int) -> Delta | None:
        if self._vocabulary.is_end(token):
            self.end = EndReason.STOP  # (3)
            return None
        self._made.append(token)
        text = self._text.push(self._vocabulary.piece(token))
        if self._text.is_stopped:
            self.end = EndReason.STOP  # (4)
        elif len(self._made) >= self._tokens_max:
            self.end = EndReason.LENGTH  # (5) (6)
        return Delta(self.request.lease, text)

    def ended(self) -> LeaseEnded:
        """The last message of the lease; `end` is set."""
        assert self.end is not None
        tokens = (*self._prompt, *self._made) if self.request.with_context else ()
        rest = self._text.finish(is_cut=self.end is not EndReason.STOP)
        return LeaseEnded(self.request.lease, self.end, self._usage(), context=tokens, rest=rest)

    def _usage(self) -> Usage:
        started_ns, *prompted_ns = self._times_ns
        now_ns = self._clock()
        prompted = prompted_ns[0] if prompted_ns else now_ns
        usage = Usage(prompt_tokens=len(self._prompt), prompt_ns=prompted - started_ns)
        return msgspec.structs.replace(
            usage,
            output_tokens=len(self._made),
            output_ns=now_ns - prompted,
            decodes_after_cancel=self._decodes_after_cancel,
        )

    def close(self) -> None:
        self._sampler.close()


def _tokens_wanted(num_predict: int, context_tokens: int) -> int:
    most = CONTEXTS_PREDICTED_MAX * context_tokens
    return most if num_predict < 0 else min(num_predict, most)
