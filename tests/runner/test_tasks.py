"""Which code a task brings into its process."""

import subprocess
import sys

from runner.tasks import TASKS
from statemachines.wire.link import Task


def test_every_task_of_the_link_can_be_run() -> None:
    assert set(TASKS) == set(Task)


def test_reading_facts_brings_no_engine_and_no_numpy() -> None:
    program = "import sys, runner.__main__, runner.facts.task; print(*sorted(sys.modules))"
    ended = subprocess.run([sys.executable, "-P", "-c", program], capture_output=True, text=True, check=True)
    loaded = set(ended.stdout.split())
    assert "runner.facts.task" in loaded
    assert not {"llama_cpp", "numpy", "jinja2", "trio", "service", "importlib.metadata"} & loaded
