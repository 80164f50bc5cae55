"""Models and settings that the fault tests share."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from service.config import Settings
from tests.factory.broken import crash_model
from tests.factory.scripted import Answer, scripted_model
from tests.integration.faults import harness
from tests.integration.faults.gates import Gate

ENDLESS_CONTEXT_TOKENS = 1 << 17
"""What the endless model was made for; `harness.ENDLESS` asks for it, so that an answer lasts for many seconds."""


@pytest.fixture(scope="session")
def models(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """``polite`` and ``kind`` answer, ``endless`` never stops, ``crash`` loads and aborts at its first decode."""
    folder = tmp_path_factory.mktemp("fault-models")
    scripted_model(folder / "polite.gguf", harness.POLITE)
    scripted_model(folder / "kind.gguf", harness.KIND)
    endless = Answer((b"and so on and on " * 30,), endless=True)
    scripted_model(folder / "endless.gguf", endless, context_tokens=ENDLESS_CONTEXT_TOKENS)
    crash_model(folder / "crash.gguf")
    return folder


@pytest.fixture
def settings(models: Path, tmp_path: Path) -> Settings:
    """Strict, and without pauses that a test would only have to sit out."""
    return Settings(models=models, state=tmp_path / "state", port=0, strict=True, limits=harness.limits())


@pytest.fixture
def gate(tmp_path: Path) -> Iterator[Gate]:
    """Where a stand-in waits for the test."""
    gate = Gate(tmp_path / "gate")
    yield gate
    gate.open()
