"""Runs the real command in a process of its own, with nothing of the caller's environment or terminal."""

import os
import select
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

_START = "from service.cli.main import main; main()"
_TERMINAL_START = (
    "import os, sys\n"
    "tty = os.open(sys.argv.pop(1), os.O_RDWR)\n"  # the first terminal a session leader opens becomes its own
    "for number in range(3): os.dup2(tty, number)\n"
    "os.close(tty)\n"
) + _START
_LIMIT_S = 30
"""Only ends a test that would otherwise hang."""


def environment(home: Path, **extra: str) -> dict[str, str]:
    """A clean environment with its own home."""
    return {"HOME": str(home), "PATH": os.defpath, "TERM": "xterm", "LANG": "C.UTF-8", **extra}


def roundhouse(*args: str, home: Path, stdin: str | bytes = b"", **extra: str) -> subprocess.CompletedProcess[str]:
    """Run a command to its end."""
    data = stdin.encode() if isinstance(stdin, str) else stdin
    done = subprocess.run(
        [sys.executable, "-c", _START, *args],
        input=data,
        capture_output=True,
        env=environment(home, **extra),
        timeout=_LIMIT_S,
        check=False,
    )
    return subprocess.CompletedProcess(done.args, done.returncode, done.stdout.decode(), done.stderr.decode())


@dataclass
class Terminal:
    """The keyboard and the screen of a command."""

    process: subprocess.Popen[bytes]
    keys: int
    tty: int | None
    screen: str = ""
    _seen: int = 0

    def type(self, text: str) -> None:
        os.write(self.keys, text.encode())

    def read_until(self, text: str) -> str:
        """What came on the screen since the last time, up to and with ``text``."""
        while text not in self.screen[self._seen :]:
            data = self._read()
            assert data, f"the command ended without showing {text!r}; the screen: {self.screen!r}"
            self.screen += data
            self.close_tty()
        start, self._seen = self._seen, self.screen.index(text, self._seen) + len(text)
        return self.screen[start : self._seen]

    def wait(self) -> int:
        """The exit status, once all that is on the screen is read."""
        while data := self._read():
            self.screen += data
        return self.process.wait(_LIMIT_S)

    def close_tty(self) -> None:
        """Close our copy of the command's end, which a terminal needs until the command has opened its own."""
        if self.tty is not None:
            os.close(self.tty)
            self.tty = None

    def _read(self) -> str:
        ready, _, _ = select.select([self.keys], [], [], _LIMIT_S)
        assert ready, f"nothing more came; the screen: {self.screen!r}"
        try:
            return os.read(self.keys, 4096).decode()
        except OSError:  # how Linux says that nobody has the terminal open any more
            return ""


@contextmanager
def at_a_terminal(*args: str, home: Path, **extra: str) -> Iterator[Terminal]:
    """A command whose standard streams are a terminal, where Ctrl-C is a key."""
    keys, tty = os.openpty()
    command = [sys.executable, "-c", _TERMINAL_START, os.ttyname(tty), *args]
    with subprocess.Popen(command, env=environment(home, **extra), start_new_session=True) as process:
        terminal = Terminal(process, keys, tty)
        try:
            yield terminal
        finally:
            terminal.close_tty()
            process.kill()
            process.wait()
            os.close(keys)
