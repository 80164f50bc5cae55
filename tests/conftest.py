"""Fixtures for every test: what a test leaves behind is an error of that test."""

from collections.abc import Iterator

import pytest

from tests.leaks import adopt_orphans, holdings, leaks


@pytest.fixture(scope="session")
def adoption() -> None:
    """Orphans of any test count as its own processes."""
    adopt_orphans()


@pytest.fixture(autouse=True)
def no_leaks(adoption: None) -> Iterator[None]:
    """Fails the test that left a process, a descriptor or a listening socket, and names each."""
    before = holdings()
    yield
    left = leaks(before)
    sentences = left.sentences()
    left.end()
    if sentences:
        pytest.fail("the test left behind:\n  " + "\n  ".join(sentences), pytrace=False)
