"""Stand-ins are like real runners: the same conversation, message by message, and the same end."""

import os
from collections.abc import Sequence
from itertools import groupby
from pathlib import Path

import pytest

from service.processes import RUNNER
from statemachines.facts import FileIdentity, LoadOptions
from statemachines.units import LeaseId
from statemachines.wire.messages import Beat, Generate, Hello, LeaseEnded, Load, Ready, Shutdown, TextPrompt
from tests.integration.engine_process import RunnerProcess, runner_process
from tests.integration.faults.casting import standin_command

WELL_BEHAVED = "hello hear:Load progress:0 ready hear:Generate tokens:3 end:stop hear:Shutdown exit:0"


def conversation(runner: RunnerProcess, model: Path) -> list[str]:
    """Load, one question, stop; what the runner said, each kind once where it came several times in a row."""
    said = []
    stat = os.stat(model)
    identity = FileIdentity(stat.st_dev, stat.st_ino, stat.st_size, stat.st_mtime_ns)
    runner.send(Load((str(model),), (identity,), LoadOptions(256)))
    said += runner.until(Ready)
    runner.send(Generate(LeaseId(1), TextPrompt("hi")))
    said += runner.until(LeaseEnded)
    runner.send(Shutdown())
    said += runner.until(Hello)  # never comes: to the end of the link
    kinds = [type(message).__name__ for message in said if not isinstance(message, Beat)]
    return [kind for kind, _ in groupby(kinds)]


@pytest.mark.parametrize("command", [RUNNER, standin_command(WELL_BEHAVED)], ids=["real", "standin"])
def test_both_hold_the_same_conversation(command: Sequence[str], models: Path) -> None:
    with runner_process(command=command) as runner:
        said = conversation(runner, models / "polite.gguf")
        status = runner.wait()

    assert (said, status) == (["Progress", "Ready", "Tokens", "LeaseEnded"], 0)
