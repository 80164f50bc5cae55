"""Every message on the link between the service and a runner.

Two unions say which side may send what: `ToRunner` and `ToService`. A message is one msgspec struct, tagged by its
name; how it becomes bytes is `statemachines.wire.codec`, in which order messages may come is
`statemachines.wire.link`.
"""

from enum import StrEnum

import msgspec

from statemachines.errors import Refusal
from statemachines.facts import (
    AllocationReport,
    FileIdentity,
    LoadedFacts,
    LoadFailure,
    LoadOptions,
    ModelFacts,
)
from statemachines.units import LeaseId

PROTOCOL_VERSION = 1


class Message(msgspec.Struct, frozen=True, tag_field="is", tag=True, omit_defaults=True):
    """Base of all messages; the tag is the class name."""


# Both sides


class Hello(Message, frozen=True):
    """The first message of each side. A side that meets another protocol version closes the link.

    Attributes:
        protocol: the sender's `PROTOCOL_VERSION`.
        version: the sender's Roundhouse version, for logs.
        pid: the sender's process id.
        engine: the engine and its version, such as ``llama-cpp-python 0.3.36``; empty for the service, and for
            a runner without one.
    """

    protocol: int
    version: str
    pid: int
    engine: str = ""


# Service to runner


class ReadFacts(Message, frozen=True):
    """Task ``facts``: read one model file's header.

    Attributes:
        paths: the file, or all parts of a split one in order.
        with_arrays: also return array values (``/api/show`` with ``verbose``).
    """

    paths: tuple[str, ...]
    with_arrays: bool = False


class Load(Message, frozen=True):
    """Task ``serve``: load these weights; answered by `Progress`, then `Ready` or `LoadFailed`.

    Attributes:
        paths: the file, or all parts of a split one in order.
        identities: what each path must still be, before and after the load.
        options: what to load for.
        threads: threads until the first `SetThreads` [count].
        gate_path: fault tests only: a named pipe that the load reads to its end before it reports any progress.
    """

    paths: tuple[str, ...]
    identities: tuple[FileIdentity, ...]
    options: LoadOptions
    threads: int = 1
    gate_path: str | None = None


class ChatMessage(msgspec.Struct, frozen=True, omit_defaults=True):
    """One turn of a conversation, for the model's own template."""

    role: str
    content: str


class ChatPrompt(msgspec.Struct, frozen=True, tag="chat", tag_field="is"):
    """Rendered in the runner by the model's own chat template.

    Attributes:
        messages: oldest first.
        truncate: drop the oldest turns (never system turns, never the last one), then cut the middle of what is left,
            until the prompt fits; otherwise a prompt that does not fit is refused.
    """

    messages: tuple[ChatMessage, ...]
    truncate: bool = True


class TextPrompt(msgspec.Struct, frozen=True, tag="text", tag_field="is"):
    """Sent to the model as it is (``raw``); special tokens in it are recognised."""

    text: str
    truncate: bool = True


class Sampling(msgspec.Struct, frozen=True, omit_defaults=True):
    """How the next token is chosen; defaults are those of the Ollama API.

    Attributes:
        temperature: 0 is greedy.
        top_k: 0 or less: off. top_p: 1 or more: off. min_p: 0: off.
        repeat_penalty: 1 is off. repeat_last_n: tokens looked back at; 0 is off, -1 the whole context.
        seed: -1 draws one.
    """

    temperature: float = 0.8
    top_k: int = 40
    top_p: float = 0.9
    min_p: float = 0.0
    repeat_penalty: float = 1.0
    repeat_last_n: int = 64
    seed: int = -1


class Generate(Message, frozen=True):
    """Answer one prompt on one lease; ended by exactly one `LeaseEnded`.

    Attributes:
        context: token ids of an earlier answer, put before the prompt (``/api/generate``).
        num_predict: most tokens to make [tokens]; negative: as many as ten contexts.
        num_keep: first tokens that a cut of the middle keeps [tokens].
        stop: strings that end the answer; never emitted, nor is a beginning that turns out to be one.
        with_context: put prompt and answer as token ids into `LeaseEnded`.
    """

    lease: LeaseId
    prompt: ChatPrompt | TextPrompt
    sampling: Sampling = Sampling()
    context: tuple[int, ...] = ()
    num_predict: int = -1
    num_keep: int = 4
    stop: tuple[str, ...] = ()
    with_context: bool = False


class Cancel(Message, frozen=True):
    """End a lease early; answered by a `LeaseEnded` whose reason is CANCELLED.

    Also for a lease that the runner does not know (any more): then nothing else tells the service that none is open.
    """

    lease: LeaseId


class SetThreads(Message, frozen=True):
    """Use this many threads from the next step on; answered by `ThreadsSet`."""

    threads: int


class Shutdown(Message, frozen=True):
    """Stop: end all leases as cancelled, then exit with status 0."""


# Runner to service


class FactsRead(Message, frozen=True):
    """The answer to `ReadFacts`."""

    facts: ModelFacts


class FactsRefused(Message, frozen=True):
    """The file cannot be read as a model: what is wrong with it, without its path."""

    refusal: Refusal


class Progress(Message, frozen=True):
    """How far a load is [parts per million], at most a few a second; proves that it is alive."""

    done_ppm: int


class Ready(Message, frozen=True):
    """The model is loaded.

    Attributes:
        loaded: what it was really loaded with.
        report: what the engine allocated.
        chunk_tokens: the grid on which prompts are cut [tokens].
        load_ns: from `Load` to now, by the runner's clock.
    """

    loaded: LoadedFacts
    report: AllocationReport
    chunk_tokens: int
    load_ns: int


class LoadFailed(Message, frozen=True):
    """The load failed; the runner exits after this message."""

    kind: LoadFailure
    message: str


class Delta(msgspec.Struct, frozen=True):
    """What one step added to one lease: whole characters only, so ``text`` may be empty.

    Attributes:
        tokens: tokens that were made [count].
    """

    lease: LeaseId
    text: str
    tokens: int = 1


class Tokens(Message, frozen=True):
    """What one step made, over all leases: one frame per step."""

    step: int
    deltas: tuple[Delta, ...]


class EndReason(StrEnum):
    """Why a lease ended, as the runner sees it."""

    STOP = "stop"
    LENGTH = "length"
    CANCELLED = "cancelled"
    REFUSED = "refused"


class Usage(msgspec.Struct, frozen=True, omit_defaults=True):
    """Counts and timings of one answer; durations by the runner's clock [ns].

    Attributes:
        cached_tokens: prompt tokens that needed no evaluation [count].
        decodes_after_cancel: engine decodes that were running or begun when the cancel had come [count]; at most 1.
    """

    prompt_tokens: int = 0
    cached_tokens: int = 0
    prompt_ns: int = 0
    output_tokens: int = 0
    output_ns: int = 0
    decodes_after_cancel: int = 0


class LeaseEnded(Message, frozen=True):
    """The last message about a lease: its slot is free.

    Attributes:
        refusal: what was wrong with the request, when the reason is REFUSED.
        context: prompt and answer as token ids, if asked for.
        rest: text held back for a stop string that never came; belongs at the end of the answer.
    """

    lease: LeaseId
    reason: EndReason
    usage: Usage = Usage()
    refusal: Refusal | None = None
    context: tuple[int, ...] = ()
    rest: str = ""


class ThreadsSet(Message, frozen=True):
    """The answer to `SetThreads`: in force from now on."""

    threads: int


class Beat(Message, frozen=True):
    """Proof of progress, at most every `BEAT_INTERVAL_S` while a lease is open.

    Attributes:
        step: engine steps begun since the load [count].
        progress: grows whenever the engine gets anything done (graph nodes, prompt chunks, tokens) [count].
    """

    step: int
    progress: int


BEAT_INTERVAL_S = 0.5

ToRunner = Hello | ReadFacts | Load | Generate | Cancel | SetThreads | Shutdown
ToService = Hello | FactsRead | FactsRefused | Progress | Ready | LoadFailed | Tokens | LeaseEnded | ThreadsSet | Beat
