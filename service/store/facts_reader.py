"""Reads a model file in a runner process of its own: the file may be hostile, and this process must live.

The same spawn path as for every runner, with a limit on its memory and a deadline. The answer is a value; a process
that crashes, hangs or breaks the protocol is an error of that one question.
"""

import os

import trio
from structlog.typing import FilteringBoundLogger

from service.environment import EnvironmentClass
from service.ports import Process, Processes
from service.runner_link import RunnerLink
from service.store.facts_cache import FileRefused
from service.store.names import shown_file
from service.version import own_version
from statemachines.errors import Refusal, RefusalCode, RequestRefused, WireError
from statemachines.facts import ModelFacts
from statemachines.units import NS_PER_S
from statemachines.wire.link import Task
from statemachines.wire.messages import PROTOCOL_VERSION, FactsRead, FactsRefused, Hello, ReadFacts


class FactsReader:
    """The real `service.store.facts_cache.ReadFacts`.

    Args:
        limit_ns: from the order to start a process to its answer.
        memory_bytes: limit of the process's address space.
    """

    def __init__(self, processes: Processes, log: FilteringBoundLogger, *, limit_ns: int, memory_bytes: int) -> None:
        self._processes = processes
        self._log = log
        self._limit_ns = limit_ns
        self._kind = EnvironmentClass(Task.FACTS, memory_bytes)

    async def __call__(self, paths: tuple[str, ...], with_arrays: bool) -> ModelFacts:
        """See `ReadFacts`. A slow or broken reading is refused as such and not held against the file for ever."""
        answer: FactsRead | FactsRefused | None = None
        with trio.move_on_after(self._limit_ns / NS_PER_S) as limit:
            answer = await self._ask(ReadFacts(paths, with_arrays))
        if answer is None:
            why = "took too long" if limit.cancelled_caught else "failed"
            self._log.warning("a model file was not read", file=shown_file(paths[0]), why=f"reading it {why}")
            raise RequestRefused(_refusal(why))
        if isinstance(answer, FactsRefused):
            raise (FileRefused if answer.refusal.code is RefusalCode.INVALID else RequestRefused)(answer.refusal)
        return answer.facts

    async def _ask(self, question: ReadFacts) -> FactsRead | FactsRefused | None:
        """The process's answer; None when it has none."""
        try:
            async with self._processes.spawn(self._kind, on_line=self._hear_line) as process:
                return await self._converse(process, question)
        except OSError as error:
            self._log.warning("the reader of model files cannot be started", why=error.strerror)
            return None

    async def _converse(self, process: Process, question: ReadFacts) -> FactsRead | FactsRefused | None:
        link = RunnerLink(process.link, Task.FACTS)
        link.send(Hello(PROTOCOL_VERSION, own_version(), os.getpid()))
        async with trio.open_nursery() as nursery:
            nursery.start_soon(link.pump)
            answer = await self._hear(link, question)
            nursery.cancel_scope.cancel()
        return answer

    async def _hear(self, link: RunnerLink, question: ReadFacts) -> FactsRead | FactsRefused | None:
        """Ask once the process has greeted, and wait for its answer or its end."""
        try:
            while (messages := await link.receive()) is not None:
                for message in messages:
                    if isinstance(message, FactsRead | FactsRefused):
                        return message
                    link.send(question)
        except WireError as error:
            self._log.warning("the reader of model files broke the protocol", why=str(error))
        return None

    def _hear_line(self, line: str) -> None:
        self._log.debug("the reader of model files says", text=line)


def _refusal(why: str) -> Refusal:
    message = f"reading the model file {why}; the server's log says more, and the file may be damaged"
    return Refusal(RefusalCode.LOAD_FAILED, message)
