"""Writes service/demo/demo.gguf, the scripted model behind ``roundhouse run demo``.

    python -m tools.make_demo            writes it
    python -m tools.make_demo --check    exit status 1 if the one in the tree is not what this would write

It needs the test dependencies (gguf, numpy) and no engine.
"""

import argparse
import sys
import tempfile
from pathlib import Path

from tests.factory.scripted import scripted_model

DEMO = Path(__file__).parents[1] / "service" / "demo" / "demo.gguf"
SIZE_BYTES_MAX = 2 << 20
ANSWER = (
    "By default Roundhouse unloads a model five minutes after its last answer. "
    'To keep it loaded without a time limit, send "keep_alive": -1 with a request, or start the server with '
    "ROUNDHOUSE_KEEP_ALIVE=-1 in its environment."
)
"""Both sentences describe what the service does: docs/how-to/keep-a-model-loaded.md says it at length."""


def make(path: Path) -> Path:
    """Writes the demo model to `path`; every run writes the same bytes."""
    return scripted_model(
        path,
        ANSWER,
        context_tokens=4096,
        name="demo",
        metadata={
            "general.description": "A scripted test model: it says one fixed text. It is not a language model.",
            "general.license": "mit",
        },
    )


def main() -> int:
    parser = argparse.ArgumentParser(description="Write the scripted demo model.")
    parser.add_argument("--check", action="store_true", help="compare instead of writing")
    if not parser.parse_args().check:
        make(DEMO)
        return 0
    with tempfile.TemporaryDirectory() as folder:
        fresh = make(Path(folder) / "demo.gguf").read_bytes()
    if DEMO.exists() and DEMO.read_bytes() == fresh:
        return 0
    print(f"{DEMO.name} is not what tools/make_demo.py writes: run python -m tools.make_demo", file=sys.stderr)
    return 1


if __name__ == "__main__":
    sys.exit(main())
