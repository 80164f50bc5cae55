"""A handler as a test asks through it, and a runner that answers it word by word."""

from typing import Any

import trio
import trio.testing

from service.front import Answer
from statemachines.errors import Refusal, RequestRefused, RunnerFailed
from statemachines.events import RequestArrived
from statemachines.wire import messages as wire
from statemachines.wire.messages import Delta, EndReason, Generate, Tokens, Usage
from tests.fakes.processes import FakeProcess
from tests.service.shell import QUESTION, Shell

USAGE = Usage(prompt_tokens=2, output_tokens=2)


async def generate_heard(process: FakeProcess) -> Generate:
    """The question, with thread orders passed over as a runner would answer them."""
    while True:
        match await process.hear():
            case wire.SetThreads(threads=threads):
                process.say(wire.ThreadsSet(threads))
            case Generate() as generate:
                return generate


async def answer(process: FakeProcess, *texts: str) -> Generate:
    """Hear a question and answer it."""
    generate = await generate_heard(process)
    for step, text in enumerate(texts):
        process.say(Tokens(step, (Delta(generate.lease, text),)))
    process.say(wire.LeaseEnded(generate.lease, EndReason.STOP, USAGE))
    return generate


class Asking:
    """A handler in a task of its own; what came of it is in ``answer`` or ``error``."""

    def __init__(self, shell: Shell, name: str = "a", **wish: Any) -> None:
        self.answer: Answer | None = None
        self.error: Exception | None = None
        self.texts: list[str] = []
        self.scope = trio.CancelScope()
        self._shell, self._name, self._wish = shell, name, wish

    async def collect(self) -> None:
        with self.scope:
            try:
                async with self._shell.leased(self._name, **self._wish) as lease:
                    self.answer = await lease.collect(QUESTION)
            except (RequestRefused, RunnerFailed) as error:
                self.error = error

    async def stream(self) -> None:
        with self.scope:
            try:
                async with self._shell.leased(self._name, **self._wish) as lease:
                    async for item in lease.stream(QUESTION):
                        self.texts.append(item.text if isinstance(item, Delta) else f"<{item.reason}>")
            except (RequestRefused, RunnerFailed) as error:
                self.error = error

    @property
    def refusal(self) -> Refusal:
        assert isinstance(self.error, RequestRefused | RunnerFailed)
        return self.error.refusal


def arrivals(shell: Shell) -> list[RequestArrived]:
    return [event for event in shell.journal.events if isinstance(event, RequestArrived)]
