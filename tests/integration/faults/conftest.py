"""Models and settings that the fault tests share."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from service.config import Settings
from tests.integration.faults import harness
from tests.integration.faults.gates import Gate
from tests.integration.faults.models import make_models


@pytest.fixture(scope="session")
def models(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """See `tests.integration.faults.models`."""
    return make_models(tmp_path_factory.mktemp("fault-models"))


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
