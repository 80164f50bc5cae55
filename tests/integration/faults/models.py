"""The models of the fault tests, and what they say."""

from pathlib import Path

from tests.factory.broken import crash_model
from tests.factory.scripted import Answer, scripted_model

POLITE = "Hello, how are you?"
KIND = "I am well, thank you."
ENDLESS_CONTEXT_TOKENS = 1 << 17
ENDLESS_ANSWER = Answer((b"and so on and on " * 30,), endless=True)
ENDLESS = {"num_ctx": ENDLESS_CONTEXT_TOKENS}
"""Options with which ``endless`` has room for many seconds."""


def make_models(folder: Path) -> Path:
    """``polite`` and ``kind`` answer, ``endless`` never stops, ``crash`` loads and aborts at its first decode."""
    scripted_model(folder / "polite.gguf", POLITE)
    scripted_model(folder / "kind.gguf", KIND)
    scripted_model(folder / "endless.gguf", ENDLESS_ANSWER, context_tokens=ENDLESS_CONTEXT_TOKENS)
    crash_model(folder / "crash.gguf")
    return folder
