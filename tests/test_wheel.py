"""The wheel holds what it should, and is what these tests see when they say so."""

import importlib
import sysconfig
from importlib.metadata import distribution
from pathlib import Path

import pytest

from tests.checkout import ROOT, TESTS_WHEEL

PACKAGES = ("runner", "service", "statemachines")
wheel_only = pytest.mark.skipif(not TESTS_WHEEL, reason="this run tests the checkout; tox sets ROUNDHOUSE_TEST_WHEEL")


@wheel_only
@pytest.mark.parametrize("package", PACKAGES)
def test_package_comes_from_the_installed_wheel_and_not_from_the_checkout(package: str) -> None:
    source = importlib.import_module(package).__file__
    assert source is not None
    assert Path(source).is_relative_to(sysconfig.get_path("purelib"))
    assert not Path(source).is_relative_to(ROOT / package)


@wheel_only
def test_tests_run_far_from_the_sources() -> None:
    assert not any((Path.cwd() / package).exists() for package in PACKAGES)
    assert Path(__file__).parents[1] == Path.cwd()


@wheel_only
def test_wheel_holds_the_three_packages_and_nothing_else() -> None:
    files = distribution("roundhouse").files
    assert files is not None
    tops = {file.parts[0] for file in files if ".." not in file.parts}
    assert {top for top in tops if not top.endswith(".dist-info")} == set(PACKAGES)


@wheel_only
def test_wheel_holds_every_module_of_the_checkout() -> None:
    files = distribution("roundhouse").files
    assert files is not None
    installed = {str(file) for file in files}
    sources = {
        path.relative_to(ROOT).as_posix()
        for package in PACKAGES
        for path in (ROOT / package).rglob("*")
        if path.suffix in {".py", ".gguf"} or path.name == "py.typed"
    }
    assert sources <= installed
