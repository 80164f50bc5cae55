import os

import pytest


@pytest.fixture(autouse=True)
def clean_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    """Commands that run inside the test see no setting of whoever runs the tests."""
    for name in [name for name in os.environ if name.startswith(("ROUNDHOUSE_", "OLLAMA_"))]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("ROUNDHOUSE_CONFIG", os.devnull)
