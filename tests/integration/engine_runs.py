"""Drives the runner's engine task in this process: hands it messages, collects what it sends."""

import os
from collections import deque
from collections.abc import Callable, Sequence
from pathlib import Path

from runner.llama.load import identity_of
from runner.llama.task import run
from statemachines.facts import LoadOptions
from statemachines.units import LeaseId
from statemachines.wire.messages import (
    ChatMessage,
    ChatPrompt,
    EndReason,
    Generate,
    LeaseEnded,
    Load,
    Ready,
    Sampling,
    Shutdown,
    TextPrompt,
    Tokens,
    ToRunner,
    ToService,
)

LEASE = LeaseId(1)
GREEDY = Sampling(temperature=0)
Interrupt = Callable[[list[ToService]], ToRunner | None]
"""What comes in between two steps, by what has been sent so far."""


def nothing(_sent: list[ToService]) -> ToRunner | None:
    return None


def load_of(path: Path, *more_parts: Path, context_tokens: int = 512, threads: int = 1, **options: object) -> Load:
    return Load(
        tuple(map(str, (path, *more_parts))),
        tuple(identity_of(os.stat(part)) for part in (path, *more_parts)),
        LoadOptions(context_tokens, **options),  # type: ignore[arg-type]  # options of any type
        threads,
    )


def drive(load: Load, messages: Sequence[ToRunner] = (), interrupt: Interrupt = nothing) -> list[ToService]:
    """Everything a runner sends for a load and these messages, each handed over when no lease is open."""
    waiting = deque([load, *messages])
    sent: list[ToService] = []
    status = run(lambda: waiting.popleft() if waiting else Shutdown(), lambda: interrupt(sent), sent.append)
    assert status == 0
    return sent


def ask(prompt: ChatPrompt | TextPrompt, **fields: object) -> Generate:
    """A greedy answer on lease 1, unless `fields` say otherwise."""
    merged = {"lease": LEASE, "prompt": prompt, "sampling": GREEDY, **fields}
    return Generate(**merged)  # type: ignore[arg-type]  # fields of any type


def generate(text: str, **fields: object) -> Generate:
    return ask(TextPrompt(text), **fields)


def chat(content: str, **fields: object) -> Generate:
    return ask(ChatPrompt((ChatMessage("user", content),)), **fields)


def deltas_of(sent: Sequence[ToService], lease: LeaseId = LEASE) -> list[str]:
    """The text of each step of a lease."""
    frames = [message for message in sent if isinstance(message, Tokens)]
    return [delta.text for frame in frames for delta in frame.deltas if delta.lease == lease]


def end_of(sent: Sequence[ToService], lease: LeaseId = LEASE) -> LeaseEnded:
    (end,) = (message for message in sent if isinstance(message, LeaseEnded) and message.lease == lease)
    return end


def text_of(sent: Sequence[ToService], lease: LeaseId = LEASE) -> str:
    """The whole answer of a lease that was not refused."""
    end = end_of(sent, lease)
    assert end.reason is not EndReason.REFUSED, end.refusal
    return "".join(deltas_of(sent, lease)) + end.rest


def ready_of(sent: Sequence[ToService]) -> Ready:
    (ready,) = (message for message in sent if isinstance(message, Ready))
    return ready
