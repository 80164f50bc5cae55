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
def test_wheel_holds_the_modules_of_the_checkout_and_no_others() -> None:
    """Others: setuptools copies what an earlier build left, so a removed module comes back until `build/` goes."""
    files = distribution("roundhouse").files
    assert files is not None
    sources = {
        path.relative_to(ROOT).as_posix()
        for package in PACKAGES
        for path in (ROOT / package).rglob("*")
        if path.suffix in {".py", ".gguf"} or path.name == "py.typed"
    }
    assert {str(file) for file in files if file.parts[0] in PACKAGES and file.suffix != ".pyc"} == sources
