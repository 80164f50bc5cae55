"""What tests of hostile code need."""

import gc
from collections.abc import Iterator

import pytest


@pytest.fixture
def no_collection() -> Iterator[None]:
    """No garbage collection, so that a limit is never reached inside the collector's callbacks.

    Hypothesis has one, runners have none. What is raised there is swallowed (the limits allow for it and fire again),
    but pytest calls it a failure.
    """
    gc.disable()
    yield
    gc.enable()
