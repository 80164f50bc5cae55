"""One turn of each comparison: what is asked of whom, in which order, and what is timed."""

import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchmarks import llama_server
from benchmarks.models import Write, prompt, write_large
from benchmarks.processes import Bare
from benchmarks.service import Asked, Service

FIRST, SECOND = "first", "second"
"""Names of the two models."""
TURNS_MAX = 1_000_000
"""More than there ever are of one kind."""


@dataclass(frozen=True)
class Plan:
    """What both sides are given, and how often.

    Attributes:
        pairs, cold_rounds: turns [count].
        requests: after so many the service's memory is looked at [count].
        pause_s: before each turn of each side.
        write: writes the models.
        folder: where they are kept.
        llama_server: its program, if it is to be measured too.
    """

    folder: Path
    threads: int
    pairs: int = 50
    cold_rounds: int = 10
    requests: int = 100
    prompt_tokens: int = 32
    answer_tokens: int = 16
    context_tokens: int = 2048
    pause_s: float = 0.05
    write: Write = write_large
    llama_server: Path | None = None

    def model(self, name: str) -> Path:
        return self.folder / f"{name}.gguf"

    @property
    def service_words(self) -> Sequence[str]:
        """The command line of the service."""
        return Service.words(self.folder, threads=self.threads, context_tokens=self.context_tokens)

    def prompt(self, kind: int, number: int) -> str:
        """The text for one turn of one kind; no two turns have the same."""
        return prompt(kind * TURNS_MAX + number, self.prompt_tokens)


@dataclass(frozen=True)
class Pair:
    """The same prompt on both sides: time to the first token [ms].

    Attributes:
        runner_ms: of the service's time, what its runner spent on the prompt.
    """

    served_ms: float
    bare_ms: float
    runner_ms: float


def warm_up(service: Service, plan: Plan) -> None:
    """Each model once, so that nothing measured is the first of its kind: files are in memory, headers are read."""
    for name in (FIRST, SECOND):
        service.ask(name, plan.prompt(0, 0), 1)
        service.unload(name)


def load_both(service: Service, bare: Bare, plan: Plan) -> None:
    """Both sides have the model in memory, and have used it once."""
    bare.load(plan.model(FIRST), threads=plan.threads, context_tokens=plan.context_tokens)
    bare.ask(plan.prompt(0, 1), 1)
    service.ask(FIRST, plan.prompt(0, 1), 1)


def loaded(service: Service, bare: Bare, plan: Plan, number: int) -> Pair:
    """Both have the model in memory.

    Always in the same order, so that each comes after the other: whoever comes after itself finds its own memory in the
    processor's cache, and is some milliseconds faster.
    """
    text = plan.prompt(1, number)
    time.sleep(plan.pause_s)
    alone = bare.ask(text, plan.answer_tokens)
    time.sleep(plan.pause_s)
    served = service.ask(FIRST, text, plan.answer_tokens)
    return _pair(served, alone, load_ms=0)


def cold(service: Service, plan: Plan, number: int) -> Pair:
    """Neither has the model in memory: one takes its spare and loads, the other has imported the engine and loads."""
    text = plan.prompt(2, number)
    with Bare.started() as bare:
        service.settle()
        time.sleep(plan.pause_s)
        load_ms = bare.load(plan.model(FIRST), threads=plan.threads, context_tokens=plan.context_tokens)
        alone = bare.ask(text, plan.answer_tokens)
    time.sleep(plan.pause_s)
    served = service.ask(FIRST, text, plan.answer_tokens)
    service.unload(FIRST)
    return _pair(served, alone, load_ms=load_ms)


def second_load(service: Service, plan: Plan, number: int) -> tuple[float, float]:
    """A load that finds no spare, because another one has just taken it.

    Returns:
        How long after the first request the second was sent, and how long its first token took [ms].
    """
    text = plan.prompt(3, number)
    service.settle()
    begun = time.perf_counter()
    service.ask(FIRST, text, 1)
    gap_ms = (time.perf_counter() - begun) * 1000
    served = service.ask(SECOND, text, plan.answer_tokens)
    for name in (FIRST, SECOND):
        service.unload(name)
    return gap_ms, served.first_ms


def resident(service: Service, plan: Plan, asked: int) -> float:
    """The idle service's memory after as many requests as the plan says, of which some have been [MB]."""
    for number in range(asked, plan.requests):
        service.ask(FIRST, plan.prompt(1, number), plan.answer_tokens)
    time.sleep(plan.pause_s)
    return service.resident_mb


def others_start(program: Path, plan: Plan, number: int) -> float:
    """llama-server, from the start of its process to its first token [ms]."""
    port = llama_server.free_port()
    sizes = {"threads": plan.threads, "context_tokens": plan.context_tokens}
    words = llama_server.words(program, plan.model(FIRST), port=port, **sizes)
    return llama_server.start_to_first_ms(words, port, plan.prompt(4, number), plan.answer_tokens)


def _pair(served: Asked, alone: dict[str, Any], *, load_ms: float) -> Pair:
    """Both sides of a turn.

    Raises:
        RuntimeError: they did not evaluate the same tokens to the same end, and so cannot be compared.
    """
    if not served.text.startswith(alone["text"]) or served.prompt_tokens != alone["prompt_tokens"]:
        raise RuntimeError(f"the two sides answer differently: {served} and {alone}")
    return Pair(served.first_ms, load_ms + alone["first_ms"], served.runner_ms)
