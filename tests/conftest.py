"""Fixtures for every test: what a test leaves behind is an error of that test. And `--behaviours`."""

from collections.abc import Iterator

import pytest

from tests.behaviours import PAGE, Reporter, read_page
from tests.leaks import adopt_orphans, holdings, leaks


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--behaviours", action="store_true", help="run the tests of behaviours, and report on each")


def pytest_configure(config: pytest.Config) -> None:
    if config.getoption("--behaviours"):
        config.pluginmanager.register(Reporter(read_page(PAGE.read_text(encoding="utf-8"))))


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
