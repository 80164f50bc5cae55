"""Orphans: what is ended is proven to be a runner of a server that is gone, and nothing else is."""

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import psutil
import pytest

from service import orphans
from service.births import own_identity
from service.orphans import end_orphans, find_orphans
from service.processes import OWNER_FLAG, RUNNER, owner_words
from tests.checkout import ROOT

SERVER = """
import sys
from pathlib import Path
import trio
from service.environment import EnvironmentClass
from service.processes import RunnerProcesses
from statemachines.wire.link import Task
async def main():
    async with RunnerProcesses(state=Path(sys.argv[1])).spawn(EnvironmentClass(Task.FACTS)) as process:
        print(process.pid, flush=True)
        await trio.sleep_forever()
trio.run(main)
"""
"""A server with one runner."""

POSING = "import sys; print(flush=True); sys.stdin.read()"
"""A process that waits, whatever its command line says of it."""


class Left:
    """A server that has been started, and its runner, which is stopped and notices nothing."""

    def __init__(self, server: "subprocess.Popen[bytes]") -> None:
        assert server.stdout is not None
        self.server = server
        self.runner = psutil.Process(int(server.stdout.readline()))
        os.kill(self.runner.pid, signal.SIGSTOP)

    def kill_server(self) -> None:
        self.server.kill()
        self.server.wait()


@contextmanager
def left(state: Path) -> Iterator[Left]:
    with subprocess.Popen([sys.executable, "-c", SERVER, str(state)], stdout=subprocess.PIPE, cwd=ROOT) as server:
        there = Left(server)
        try:
            yield there
        finally:
            server.kill()
            with suppress(psutil.NoSuchProcess):  # its new parent may have reaped it already
                there.runner.kill()


def found(state: Path) -> list[int]:
    return [orphan.pid for orphan in find_orphans(state)]


def test_a_runner_that_outlives_its_server_is_found_and_ended(tmp_path: Path) -> None:
    with left(tmp_path) as there:
        assert found(tmp_path) == []
        there.kill_server()
        assert found(tmp_path) == [there.runner.pid]
        assert end_orphans(find_orphans(tmp_path)) == []
        assert found(tmp_path) == []


def test_a_server_that_is_dead_and_not_reaped_is_gone(tmp_path: Path) -> None:
    with left(tmp_path) as there:
        there.server.kill()
        os.waitid(os.P_PID, there.server.pid, os.WEXITED | os.WNOWAIT)
        assert found(tmp_path) == [there.runner.pid]


def test_the_runners_of_servers_with_another_state_folder_are_theirs(tmp_path: Path) -> None:
    with left(tmp_path / "theirs") as there:
        there.kill_server()
        assert found(tmp_path / "ours") == []


def test_a_state_folder_is_the_same_by_another_name(tmp_path: Path) -> None:
    (tmp_path / "state").mkdir()
    (tmp_path / "link").symlink_to(tmp_path / "state")
    with left(tmp_path / "state") as there:
        there.kill_server()
        assert found(tmp_path / "link") == [there.runner.pid]


def test_a_runner_in_another_namespace_is_not_judged(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    real = os.readlink
    monkeypatch.setattr(os, "readlink", lambda path: "pid:[1]" if path == "/proc/self/ns/pid" else real(path))
    with left(tmp_path) as there:
        there.kill_server()
        assert found(tmp_path) == ([] if sys.platform == "linux" else [there.runner.pid])


def test_a_runner_of_another_user_is_not_judged(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with left(tmp_path) as there:
        there.kill_server()
        monkeypatch.setattr(os, "getuid", lambda: 12345)
        assert found(tmp_path) == []


@contextmanager
def posing(words: list[str]) -> Iterator[int]:
    """A child of ours with this command line behind its program."""
    command = [sys.executable, "-c", POSING, *words]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as child:
        assert child.stdout is not None
        child.stdout.readline()
        yield child.pid


def test_a_process_that_only_mentions_a_dead_server_is_no_runner(tmp_path: Path) -> None:
    dead = owner_words(own_identity(), tmp_path).replace(":", "1:", 1)
    with posing([*RUNNER[1:], "serve", "--fd", "3", OWNER_FLAG, dead]):
        assert found(tmp_path) == []


@pytest.mark.parametrize(
    "change",
    [
        lambda command: command[:-1],
        lambda command: command[:-2],
        lambda command: [*command[:-1], "nobody"],
        lambda command: [*command[:-1], command[-1] + "/further"],
        lambda command: [*command[:-1], command[-1].replace(":", ":0", 1)],
        lambda command: [command[0], "-c", *command[2:]],
        lambda _command: [],
    ],
)
def test_any_other_command_line_is_not_a_runner_s(tmp_path: Path, change: Any) -> None:
    us = own_identity()
    command = [*RUNNER, "serve", "--fd", "3", OWNER_FLAG, owner_words(us, tmp_path)]
    assert orphans._starter(command, tmp_path) == us
    assert orphans._starter(change(command), tmp_path) is None


def test_a_runner_whose_parent_is_its_server_is_never_an_orphan(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Even if births could not be read: the parent alone is proof."""
    monkeypatch.setattr(orphans, "_starter", lambda _command, _state: own_identity().__class__(os.getpid(), 1))
    with posing([]) as child:
        assert not orphans._is_orphan(psutil.Process(child), tmp_path)


def test_a_runner_whose_server_lives_is_never_an_orphan(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Even if it had another parent."""
    parent = psutil.Process(os.getppid())
    monkeypatch.setattr(orphans, "_starter", lambda _command, _state: own_identity())
    assert parent.ppid() != os.getpid()
    assert not orphans._is_orphan(parent, tmp_path)


def test_a_process_that_ends_meanwhile_is_nothing(tmp_path: Path) -> None:
    with posing([]) as child:
        process = psutil.Process(child)
    assert not orphans._is_orphan(process, tmp_path)
    assert end_orphans([process]) == []


def test_one_that_does_not_end_is_said_to_be_there(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(orphans, "GONE_S", 0)
    monkeypatch.setattr(psutil.Process, "kill", lambda _self: None)
    with posing([]) as child:
        process = psutil.Process(child)
        assert end_orphans([process]) == [process]


def test_one_that_is_dead_and_not_reaped_is_gone() -> None:
    with subprocess.Popen([sys.executable, "-c", POSING], stdin=subprocess.PIPE) as child:
        process = psutil.Process(child.pid)
        process.kill()
        os.waitid(os.P_PID, child.pid, os.WEXITED | os.WNOWAIT)
        assert process.status() == psutil.STATUS_ZOMBIE
        assert not orphans._is_there(process)
