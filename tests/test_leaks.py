"""The leak fixture names what a test left, and only that."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.leaks import holdings

SLEEPER = "subprocess.Popen([sys.executable, '-c', 'input()'], stdin=subprocess.PIPE)"
CASES = f"""
import os, socket, subprocess, sys, trio
from hypothesis import given, settings, strategies
from tests.conftest import no_leaks

kept = []

def test_leaves_process():
    kept.append({SLEEPER})

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
LEAKS = {
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
    assert f"11 passed, {len(LEAKS)} errors" in report


def test_sees_what_is_open_now() -> None:
    reader, writer = os.pipe()
    try:
        assert {reader, writer} <= holdings().descriptors.keys()
    finally:
        os.close(reader)
        os.close(writer)
    assert not {reader, writer} & {number for number, target in holdings().descriptors.items() if "pipe" in target}
