"""The models of the fault tests."""

from pathlib import Path

from tests.factory.broken import crash_model
from tests.factory.scripted import Answer, scripted_model
from tests.integration.faults import harness

ENDLESS_CONTEXT_TOKENS = 1 << 17
"""What the endless model was made for; `harness.ENDLESS` asks for it, so that an answer lasts for many seconds."""


def make_models(folder: Path) -> Path:
    """``polite`` and ``kind`` answer, ``endless`` never stops, ``crash`` loads and aborts at its first decode."""
    scripted_model(folder / "polite.gguf", harness.POLITE)
    scripted_model(folder / "kind.gguf", harness.KIND)
    endless = Answer((b"and so on and on " * 30,), endless=True)
    scripted_model(folder / "endless.gguf", endless, context_tokens=ENDLESS_CONTEXT_TOKENS)
    crash_model(folder / "crash.gguf")
    return folder
