"""A runner program that does what its script says, on the real wire.

Started as `service.processes.RUNNER` is, with this file and a script instead of ``-m runner``. A script is words with
arguments, ``hello hear:Load ready hear:Generate tokens:2:10 exit:0``; each word is a function below. There is no link
thread and nothing is obeyed that the script does not hear: that is what it is for.
"""

import os
import signal
import socket
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

from statemachines.facts import AllocationReport, LoadedFacts, LoadFailure
from statemachines.wire.link import Task, runner_link
from statemachines.wire.messages import (
    PROTOCOL_VERSION,
    Delta,
    EndReason,
    Generate,
    Hello,
    LeaseEnded,
    Load,
    LoadFailed,
    Progress,
    Ready,
    Tokens,
    ToRunner,
    ToService,
)

LIFE_S = 120
"""One that nobody ends ends itself; only a test run that was itself killed needs that."""


class Actor:
    """One end of the link, and what was heard on it.

    Args:
        sock: blocking.
    """

    def __init__(self, sock: socket.socket) -> None:
        self._sock = sock
        self._link = runner_link(Task.SERVE)
        self._heard: list[ToRunner] = []
        self._load: Load | None = None
        self._lease: Generate | None = None
        self._step = 0

    def play(self, script: str) -> None:
        for word in script.split():
            verb, *arguments = word.split(":")
            WORDS[verb](self, *arguments)

    # What it hears

    def hear(self, kind: str) -> None:
        """Read until a message of this kind has come; the others are not answered."""
        while type(message := self._next()).__name__ != kind:
            pass
        if isinstance(message, Load):
            self._load = message
        if isinstance(message, Generate):
            self._lease = message

    def _next(self) -> ToRunner:
        while not self._heard:
            data = self._sock.recv(1 << 16)
            if not data:
                sys.exit("the service has closed the link")
            self._heard += self._link.receive(data)
        return self._heard.pop(0)

    # What it says

    def _say(self, message: ToService) -> None:
        self._sock.sendall(self._link.send(message))

    def hello(self) -> None:
        self._say(Hello(PROTOCOL_VERSION, "stand-in", os.getpid(), "stand-in"))

    def progress(self, done_ppm: str) -> None:
        self._say(Progress(int(done_ppm)))

    def ready(self) -> None:
        assert self._load is not None
        self._say(Ready(LoadedFacts(self._load.options.context_tokens, 1), AllocationReport(), 64, 1))

    def load_failed(self) -> None:
        self._say(LoadFailed(LoadFailure.BAD_FILE, "the file is torn"))

    def tokens(self, count: str, characters: str = "1") -> None:
        """So many steps, each with a text of so many characters."""
        assert self._lease is not None
        for _ in range(int(count)):
            self._step += 1
            self._say(Tokens(self._step, (Delta(self._lease.lease, "x" * int(characters)),)))

    def end(self, reason: str) -> None:
        assert self._lease is not None
        self._say(LeaseEnded(self._lease.lease, EndReason(reason)))

    def garbage(self) -> None:
        """A frame with flags that do not exist."""
        self._sock.sendall(b"\xff" * 16)

    def half_a_frame(self) -> None:
        """The header of a frame of a thousand bytes, and ten of them."""
        self._sock.sendall(b"\x00\x00\x00\x03\xe8" + b"x" * 10)

    # What it does otherwise

    def roomy(self) -> None:
        """Let the system keep as much unread as it ever will."""
        self._sock.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 1 << 24)

    def gate(self, path: str) -> None:
        """See `tests.integration.faults.gates`."""
        Path(path).read_bytes()

    def say_no_more(self) -> None:
        """Close the writing half of the link; the other end sees its end."""
        self._sock.shutdown(socket.SHUT_WR)

    def hang_up(self) -> None:
        """Close the link."""
        self._sock.close()

    def ignore_sigterm(self) -> None:
        signal.signal(signal.SIGTERM, signal.SIG_IGN)

    def leave_a_child(self) -> None:
        """Start a process that holds the link and the output open, and does nothing."""
        if os.fork() == 0:
            signal.alarm(LIFE_S)
            self.linger()

    def linger(self) -> None:
        """Live on, and do nothing."""
        while True:
            signal.pause()

    def exit(self, status: str) -> None:
        os._exit(int(status))


WORDS: dict[str, Callable[..., None]] = {
    name: word for name, word in vars(Actor).items() if not name.startswith("_") and name != "play"
}


def main(words: Sequence[str]) -> None:
    """Play a script: ``SCRIPT serve --fd N``."""
    script, _task, _, fd = words[:4]
    signal.alarm(LIFE_S)
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    with socket.socket(fileno=int(fd)) as sock:
        Actor(sock).play(script)


if __name__ == "__main__":
    main(sys.argv[1:])
