"""Writes service/demo/demo.gguf, the scripted model behind ``roundhouse run demo``.

    python -m tools.make_demo            writes it
    python -m tools.make_demo --check    exit status 1 if the one in the tree is not what this would write

It needs the test dependencies (gguf, numpy) and no engine.
"""

import argparse
import sys
import tempfile
from pathlib import Path

from tests.factory.demo import demo_model

DEMO = Path(__file__).parents[1] / "service" / "demo" / "demo.gguf"


def main() -> int:
    """Write the file, or compare it; returns the exit status."""
    parser = argparse.ArgumentParser(description="Write the scripted demo model.")
    parser.add_argument("--check", action="store_true", help="compare instead of writing")
    if not parser.parse_args().check:
        demo_model(DEMO)
        return 0
    if DEMO.exists() and DEMO.read_bytes() == _fresh():
        return 0
    print(f"{DEMO.name} is not what tools/make_demo.py writes: run python -m tools.make_demo", file=sys.stderr)
    return 1


def _fresh() -> bytes:
    with tempfile.TemporaryDirectory() as folder:
        return demo_model(Path(folder) / "demo.gguf").read_bytes()


if __name__ == "__main__":
    sys.exit(main())
