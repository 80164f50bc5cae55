"""The command line of a runner, and what it says to people who start one by hand."""

import subprocess
import sys

import pytest

from runner.__main__ import Arguments, read_arguments
from statemachines.wire.exits import ExitStatus
from statemachines.wire.link import Task


def test_the_command_line_of_the_service_is_understood() -> None:
    assert read_arguments(["serve", "--fd", "5"]) == Arguments(Task.SERVE, 5)
    line = ["facts", "--fd", "5", "--owner", "7:8", "--memory-bytes", "1024"]
    assert read_arguments(line) == Arguments(Task.FACTS, 5, 1024)


@pytest.mark.parametrize(
    "line",
    ["", "serve", "serve --fd", "serve --fd x", "train --fd 5", "serve --fd 5 --memory-bytes x", "serve --fd 5 --x 1"],
)
def test_any_other_command_line_is_refused(line: str) -> None:
    with pytest.raises(ValueError, match=r"."):
        read_arguments(line.split())


@pytest.mark.parametrize("line", ["", "serve --fd 250", "serve --fd 0"])
def test_a_runner_started_by_hand_says_that_it_is_not_meant_to_be(line: str) -> None:
    command = [sys.executable, "-P", "-m", "runner", *line.split()]
    ended = subprocess.run(command, capture_output=True, text=True, stdin=subprocess.DEVNULL, check=False)
    assert ended.returncode == ExitStatus.USAGE
    assert ended.stderr.startswith("runner: a runner is started by the service, not by hand")
    assert "Traceback" not in ended.stderr
