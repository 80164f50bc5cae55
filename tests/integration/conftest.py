"""Everything in this folder needs the engine, marked or not."""

from pathlib import Path

import pytest

HERE = Path(__file__).parent


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Marks what lies here, so that `-m engine` and `-m "not engine"` leave nothing out between them."""
    for item in items:
        if HERE in item.path.parents:
            item.add_marker(pytest.mark.engine)
