"""The leak fixture names what a test left, and only that."""

import os
import re
import subprocess
import sys
from pathlib import Path

import psutil
import pytest

from tests.leaks import holdings

SLEEPER = "subprocess.Popen([sys.executable, '-c', 'input()'], stdin=subprocess.PIPE)"
RUNNER = "import os, sys; os.setsid(); print(flush=True); sys.stdin.read()"
SERVICE = f"import subprocess, sys; subprocess.Popen([sys.executable, '-c', {RUNNER!r}, '-m', 'runner'])"
"""A service that ends at once; its runner goes on until its input ends."""
CASES = f"""
import os, pytest, socket, subprocess, sys, trio
from hypothesis import given, settings, strategies
from tests.conftest import adoption, no_leaks

kept = []
linux = pytest.mark.skipif(sys.platform != "linux", reason="elsewhere orphans go to init")

def test_leaves_process():
    kept.append({SLEEPER})

@linux
def test_leaves_orphan():
    subprocess.run(["sh", "-c", "sleep 60 &"], check=True)

@linux
def test_leaves_orphan_in_its_own_session():
    subprocess.run(["sh", "-c", "setsid sleep 60 &"], check=True)

def test_leaves_zombie():
    if (pid := os.fork()) == 0:
        os._exit(0)
    os.waitid(os.P_PID, pid, os.WEXITED | os.WNOWAIT)

def test_leaves_pipe():
    os.pipe()

def test_leaves_listening_socket():
    kept.append(socket.create_server(("127.0.0.1", 0)))

async def test_leaves_pipe_from_trio():
    os.pipe()

@settings(max_examples=2, database=None)
@given(strategies.none())
def test_leaves_pipe_from_property(nothing):
    os.pipe()

@linux
def test_cleans_runner_that_ends_after_its_service():
    command = [sys.executable, "-c", {SERVICE!r}]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        assert process.stdout.readline() == b"\\n"
        os.waitid(os.P_PID, process.pid, os.WEXITED | os.WNOWAIT)
        process.stdin.close()
        assert process.stdout.read() == b""

def test_cleans_socket():
    socket.create_server(("127.0.0.1", 0)).close()

def test_cleans_cycle():
    cycle = [open(__file__)]
    cycle[0].close()
    cycle.append(cycle)

def test_cleans_process():
    with {SLEEPER} as process:
        process.communicate(b"")

async def test_cleans_trio():
    await trio.run_process([sys.executable, "-c", ""])

@settings(max_examples=5, database=None)
@given(strategies.integers())
def test_cleans_property(number):
    assert isinstance(number, int)
"""
ORPHANS = ("test_leaves_orphan", "test_leaves_orphan_in_its_own_session") if sys.platform == "linux" else ()
LEAKS = {
    **dict.fromkeys(ORPHANS, "process "),
    "test_leaves_process": "process ",
    "test_leaves_zombie": "(zombie)",
    "test_leaves_pipe": "descriptor ",
    "test_leaves_listening_socket": "listening socket 127.0.0.1:",
    "test_leaves_pipe_from_trio": "descriptor ",
    "test_leaves_pipe_from_property": "descriptor ",
}


@pytest.fixture(scope="module")
def report(tmp_path_factory: pytest.TempPathFactory) -> str:
    """What pytest says of `CASES` with the fixture, every installed plugin, and warnings as errors."""
    folder = tmp_path_factory.mktemp("leaks")
    (folder / "test_case.py").write_text(CASES)
    (folder / "pytest.ini").write_text("[pytest]\nfilterwarnings = error\ntrio_mode = true\n")
    command = [sys.executable, "-m", "pytest", "-v", "-p", "no:cacheprovider", "test_case.py"]
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[1])}
    result = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, check=False)
    assert result.returncode == 1, result.stdout + result.stderr
    return result.stdout


@pytest.mark.parametrize("test", LEAKS)
def test_names_the_test_that_left_something(test: str, report: str) -> None:
    section = report.split(f"ERROR at teardown of {test} ")[1].split("ERROR at")[0]
    assert "the test left behind:" in section
    assert LEAKS[test] in section


def test_accepts_tests_that_clean_up(report: str) -> None:
    cleaning = CASES.count("def test_cleans_") - (sys.platform != "linux")
    assert f"{len(LEAKS) + cleaning} passed, " in report
    assert f" {len(LEAKS)} errors" in report


@pytest.mark.skipif(not ORPHANS, reason="elsewhere orphans go to init")
@pytest.mark.parametrize("test", ORPHANS)
def test_ends_what_was_left(test: str, report: str) -> None:
    section = report.split(f"ERROR at teardown of {test} ")[1]
    named = re.search(r"process (\d+) \(", section)
    assert named is not None
    assert not psutil.pid_exists(int(named[1]))


def test_sees_what_is_open_now() -> None:
    reader, writer = os.pipe()
    try:
        assert {reader, writer} <= holdings().descriptors.keys()
    finally:
        os.close(reader)
        os.close(writer)
    assert not {reader, writer} & {number for number, target in holdings().descriptors.items() if "pipe" in target}
