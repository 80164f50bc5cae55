"""The service's side of a link in a test: one message out, one message in, in turn."""

import os
import sys
from collections import deque
from pathlib import Path

from service.ports import Process
from service.processes import RunnerProcesses
from statemachines.wire.link import Task, service_link
from statemachines.wire.messages import PROTOCOL_VERSION, FactsRefused, Hello, ReadFacts, ToRunner, ToService

OBEDIENT = (sys.executable, "-P", str(Path(__file__).with_name("obedient.py")))


def obedient_processes(environment: dict[str, str] | None = None) -> RunnerProcesses:
    """Real processes that run `tests.fakes.obedient`."""
    return RunnerProcesses(OBEDIENT, os.environ if environment is None else environment)


class Talk:
    """Talks to one process as the service does."""

    def __init__(self, process: Process, task: Task) -> None:
        self.process = process
        self.link = service_link(task)
        self._heard: deque[ToService] = deque()

    async def greet(self) -> Hello:
        await self.send(Hello(PROTOCOL_VERSION, "test", os.getpid()))
        hello = await self.hear()
        assert isinstance(hello, Hello)
        return hello

    async def send(self, message: ToRunner) -> None:
        await self.process.link.send(self.link.send(message))

    async def hear(self) -> ToService | None:
        """The next message; None at the end of the link."""
        while not self._heard:
            data = await self.process.link.receive()
            if not data:
                self.link.receive_eof()
                return None
            self._heard.extend(self.link.receive(data))
        return self._heard.popleft()

    async def order(self, order: str) -> str:
        """Let an obedient runner do something; its answer."""
        await self.send(ReadFacts((order,)))
        answer = await self.hear()
        assert isinstance(answer, FactsRefused), answer
        return answer.refusal.message


async def talk_to(process: Process, task: Task = Task.FACTS) -> Talk:
    """A talk that is past its greeting."""
    talk = Talk(process, task)
    await talk.greet()
    return talk
