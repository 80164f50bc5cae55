"""These take tens of seconds each, and read their figures from /proc."""

import sys
from pathlib import Path

import pytest

HERE = Path(__file__).parent
HUNG_S = 600
"""Ends a hung test, nothing else."""


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if HERE in item.path.parents:
            item.add_marker(pytest.mark.slow)
            item.add_marker(pytest.mark.timeout(HUNG_S))
            item.add_marker(pytest.mark.skipif(sys.platform != "linux", reason="the figures are read from /proc"))
