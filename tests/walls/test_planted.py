"""The contracts bite: a forbidden import, planted in a copy of the tree, is refused by the contract that names it."""

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.checkout import ROOT
from tests.walls.sources import PRODUCT

PLANTS = [
    ("statemachines/scheduler.py", "import service.config", "statemachines knows neither of the others"),
    ("statemachines/scheduler.py", "import trio", "statemachines knows neither of the others"),
    ("statemachines/scheduler.py", "import transitions", "only table.py imports transitions"),
    ("statemachines/scheduler.py", "import numpy", "only memory.py imports numpy"),
    ("service/reactor.py", "import runner.link", "service starts runners by command line"),
    ("service/reactor.py", "import llama_cpp", "service starts runners by command line"),
    ("runner/link.py", "from statemachines import scheduler", "runner shares only the wire"),
    ("runner/link.py", "import statemachines.limits", "runner shares only the wire"),
    ("runner/llama/task.py", "import service.config", "runner knows nothing of the service"),
    ("runner/facts/task.py", "import llama_cpp", "reading a hostile file never touches the engine"),
]


@pytest.fixture
def copy(tmp_path: Path) -> Path:
    """The three packages and the contracts, alone in a folder."""
    for folder in PRODUCT:
        shutil.copytree(ROOT / folder, tmp_path / folder, ignore=shutil.ignore_patterns("__pycache__", "*.gguf"))
    shutil.copy(ROOT / ".importlinter", tmp_path)
    return tmp_path


def lint(folder: Path) -> subprocess.CompletedProcess[str]:
    """What import-linter says of the packages in that folder (and not of installed ones)."""
    command = [sys.executable, "-c", "from importlinter.cli import lint_imports_command; lint_imports_command()"]
    return subprocess.run([*command, "--no-cache"], cwd=folder, capture_output=True, text=True, check=False)


def test_the_tree_as_it_is_keeps_every_contract(copy: Path) -> None:
    result = lint(copy)
    assert result.returncode == 0, result.stdout
    assert "0 broken" in result.stdout


@pytest.mark.parametrize(("path", "line", "contract"), PLANTS, ids=[f"{path}: {line}" for path, line, _ in PLANTS])
def test_planted_import_is_refused(path: str, line: str, contract: str, copy: Path) -> None:
    module = copy / path
    assert module.exists(), "the module this is planted in has moved"
    module.write_text(module.read_text() + f"\n{line}\n")
    result = lint(copy)
    assert result.returncode == 1, result.stdout
    assert contract in result.stdout.split("Broken contracts")[1], result.stdout
