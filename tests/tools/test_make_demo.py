"""The demo model in the package is what its tool writes."""

import subprocess
import sys
from importlib.resources import files

from tests.checkout import ROOT


def test_demo_in_the_tree_is_what_the_tool_writes() -> None:
    command = [sys.executable, "-m", "tools.make_demo", "--check"]
    result = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert result.returncode == 0, result.stderr


def test_demo_in_the_package_is_the_one_in_the_tree_and_at_most_2_mib() -> None:
    packaged = files("service.demo").joinpath("demo.gguf").read_bytes()
    assert packaged == (ROOT / "service" / "demo" / "demo.gguf").read_bytes()
    assert len(packaged) <= 2 << 20
