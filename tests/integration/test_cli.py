"""The command as its users have it: real server, real runner, real signals, an empty home."""

import json
import re
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.factory.demo import ANSWER
from tests.service.cli.commands import at_a_terminal, environment, roundhouse

pytestmark = pytest.mark.engine
QUESTION = "How do I keep a model loaded?"
LIMIT_S = 60
"""Only ends a test that would otherwise hang."""


class Server:
    """One `roundhouse serve`.

    Attributes:
        url: where it says that it listens.
        log: what it has logged, once it ended.
    """

    def __init__(self, process: subprocess.Popen[bytes]) -> None:
        self.process = process
        self.log = ""
        self.url = self._ready()["address"]

    def _ready(self) -> dict[str, str]:
        assert self.process.stderr is not None
        for line in self.process.stderr:
            self.log += line.decode()
            row = json.loads(line)
            if row["event"] == "ready":
                return row
        raise AssertionError(f"the server never became ready: {self.log}")

    def end(self, number: int) -> int:
        self.process.send_signal(number)
        return self.wait()

    def wait(self) -> int:
        _, rest = self.process.communicate(timeout=LIMIT_S)
        self.log += rest.decode()
        return self.process.returncode


@contextmanager
def serve(home: Path, *args: str, **variables: str) -> Iterator[Server]:
    command = [sys.executable, "-c", "from service.cli.main import main; main()", "serve", "--threads", "1"]
    command += ["--port", "0", "--log-format", "json", *args]
    with subprocess.Popen(command, env=environment(home, **variables), stderr=subprocess.PIPE) as process:
        try:
            yield Server(process)
        finally:
            process.kill()


def test_run_demo_answers_in_an_empty_home_without_a_server(tmp_path: Path) -> None:
    done = roundhouse("run", "demo", QUESTION, home=tmp_path, ROUNDHOUSE_THREADS="1", ROUNDHOUSE_PORT="1")
    assert (done.returncode, done.stdout) == (0, f"{ANSWER}\n")
    assert done.stderr == (
        "demo is a scripted test model, not a language model: it says the same two sentences whatever you ask\n"
    )
    assert (tmp_path / ".local/share/roundhouse/models").is_dir()


def test_run_says_which_models_its_own_server_has(tmp_path: Path) -> None:
    done = roundhouse("run", "gemma", "Hi", home=tmp_path, ROUNDHOUSE_THREADS="1", ROUNDHOUSE_PORT="1")
    assert done.returncode == 1
    assert done.stderr == (
        "Error: there is no model 'gemma'; there is: demo:latest. Put its .gguf file into "
        f"{tmp_path}/.local/share/roundhouse/models\n"
    )


def test_a_chat_with_the_embedded_server(tmp_path: Path) -> None:
    with at_a_terminal("run", "demo", home=tmp_path, ROUNDHOUSE_THREADS="1", ROUNDHOUSE_PORT="1") as terminal:
        terminal.read_until(">>> ")
        for _ in range(2):
            terminal.type(f"{QUESTION}\n")
            terminal.read_until(ANSWER[-20:])
            terminal.read_until(">>> ")
        terminal.type("\x03")
        terminal.read_until("Ctrl-C again")
        terminal.type("\x03")
        assert terminal.wait() == 130
        assert "runner" not in terminal.screen, "an end that the user asked for is nothing to log"


def test_a_server_is_used_and_listed_and_stopped(tmp_path: Path) -> None:
    with serve(tmp_path, "--demo") as server:
        assert roundhouse("ps", "--host", server.url, home=tmp_path).stdout.splitlines()[1:] == []
        answered = roundhouse("run", "demo", QUESTION, "--host", server.url, "--verbose", home=tmp_path)
        assert (answered.returncode, answered.stdout) == (0, f"{ANSWER}\n")
        assert re.search(r"^eval count: +\d+ token\(s\)$", answered.stderr, re.MULTILINE)
        listed = roundhouse("list", "--host", server.url, home=tmp_path).stdout
        assert re.fullmatch(r"NAME +ID +SIZE +MODIFIED +\ndemo:latest +\S+ +\d+ KB +.* ago +\n", listed)
        loaded = roundhouse("ps", "--host", server.url, home=tmp_path).stdout.splitlines()[1]
        assert re.fullmatch(r"demo:latest +\S+ +[\d.]+ [KMG]B +100% CPU +\d+ +\d minutes from now +", loaded)
        stopped = roundhouse("stop", "demo", "--host", server.url, home=tmp_path)
        assert (stopped.returncode, stopped.stdout, stopped.stderr) == (0, "", "")
        assert roundhouse("stop", "nobody", "--host", server.url, home=tmp_path).returncode == 1
        assert server.end(signal.SIGTERM) == 0


def test_one_folder_has_the_settings_the_models_and_the_state(tmp_path: Path) -> None:
    folder = tmp_path / "roundhouse"
    folder.mkdir()
    (folder / "config.toml").write_text("demo = true\n")
    with serve(tmp_path, ROUNDHOUSE_HOME=str(folder)) as server:
        assert "demo:latest" in roundhouse("list", "--host", server.url, home=tmp_path).stdout
        assert server.end(signal.SIGTERM) == 0
    assert sorted(path.name for path in folder.iterdir()) == ["config.toml", "models", "state"]
    assert [path.name for path in tmp_path.iterdir()] == ["roundhouse"]


def test_systemd_hears_when_the_server_answers(tmp_path: Path) -> None:
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as ear:
        ear.bind(str(tmp_path / "notify"))
        ear.settimeout(LIMIT_S)
        with serve(tmp_path, NOTIFY_SOCKET=str(tmp_path / "notify")) as server:
            assert ear.recv(4096).decode().splitlines() == ["READY=1", f"STATUS=answers on {server.url}, 0 models"]
            assert server.end(signal.SIGTERM) == 0


def test_a_taken_port_is_said_with_who_has_it(tmp_path: Path) -> None:
    with serve(tmp_path) as server:
        port = server.url.rpartition(":")[2]
        second = roundhouse("serve", "--port", port, home=tmp_path)
        assert second.returncode == 1
        assert re.search(rf"port {port} is taken by Roundhouse [\d.]+ \(pid {server.process.pid}\)", second.stderr)
        assert server.end(signal.SIGINT) == 0
