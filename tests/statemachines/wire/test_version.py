"""The version that both ends say is that of the installation."""

from importlib.metadata import version

from statemachines.wire.version import VERSION


def test_the_version_on_the_link_is_that_of_the_distribution() -> None:
    assert version("roundhouse") == VERSION
