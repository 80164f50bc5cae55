"""A real runner process with the engine, and the service's end of its link, without a service."""

import os
import select
import socket
import subprocess
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from service.processes import RUNNER
from statemachines.wire.link import Task, service_link
from statemachines.wire.messages import PROTOCOL_VERSION, Hello, ToRunner, ToService

ENVIRONMENT = {"GGML_NO_BACKTRACE": "1", "OMP_WAIT_POLICY": "passive"}
TIMEOUT_S = 60
"""Ends a hung test, nothing else."""


class RunnerProcess:
    """Speaks to one runner, message by message."""

    def __init__(self, process: subprocess.Popen[bytes], sock: socket.socket) -> None:
        self.process = process
        self._sock = sock
        self._link = service_link(Task.SERVE)
        self._received: list[ToService] = []
        self.send(Hello(PROTOCOL_VERSION, "test", os.getpid()))
        greeting = self.receive()
        assert isinstance(greeting, Hello)
        self.engine = greeting.engine

    def send(self, message: ToRunner) -> None:
        self._sock.sendall(self._link.send(message))

    def receive(self) -> ToService | None:
        """The next message; None when the runner has closed the link."""
        while not self._received:
            data = self._sock.recv(1 << 16)
            if not data:
                return None
            self._received += self._link.receive(data)
        return self._received.pop(0)

    def has_news(self) -> bool:
        """Whether something has been received that nobody has read."""
        return bool(self._received or select.select([self._sock], [], [], 0)[0])

    def until(self, *kinds: type[ToService]) -> list[ToService]:
        """Everything up to and with the first message of these kinds, or to the end of the link."""
        messages: list[ToService] = []
        while (message := self.receive()) is not None:
            messages.append(message)
            if isinstance(message, kinds):
                break
        return messages

    def close(self) -> None:
        """Let go of the runner."""
        self._sock.close()

    def wait(self) -> int:
        return self.process.wait(TIMEOUT_S)


@contextmanager
def runner_process(*, memory_bytes: int | None = None, command: Sequence[str] = RUNNER) -> Iterator[RunnerProcess]:
    """Start a runner for `serve`; kill and reap it at the end if it is still there."""
    ours, theirs = socket.socketpair()
    ours.settimeout(TIMEOUT_S)
    limit = [] if memory_bytes is None else ["--memory-bytes", str(memory_bytes)]
    with ours, theirs:
        process = subprocess.Popen(
            [*command, "serve", "--fd", str(theirs.fileno()), *limit],
            pass_fds=[theirs.fileno()],
            env={**os.environ, **ENVIRONMENT},
            stdin=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        theirs.close()
        try:
            yield RunnerProcess(process, ours)
        finally:
            process.kill()
            process.wait(TIMEOUT_S)
