"""Importing a part of a package without its code, shown with a package of a test's own."""

import sys
from collections.abc import Iterator
from importlib import import_module
from pathlib import Path

import pytest

from runner.llama import bindings

PACKAGE = "engine_of_a_test"


@pytest.fixture
def package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A package with bindings, which need another part of it, and with code of its own, which needs the bindings."""
    folder = tmp_path / PACKAGE
    folder.mkdir()
    (folder / "__init__.py").write_text('from . import llama_cpp\n\nhigh_level = True\n__version__ = "1.2.3"\n')
    (folder / "llama_cpp.py").write_text(f"from {PACKAGE}.loader import library\n")
    (folder / "loader.py").write_text("library = object()\n")
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setattr(bindings, "PACKAGE", PACKAGE)
    yield folder
    for name in [name for name in sys.modules if name.startswith(PACKAGE)]:
        del sys.modules[name]


def test_the_bindings_come_without_the_package(package: Path) -> None:
    imported = bindings.import_bindings()
    assert imported.__name__ == f"{PACKAGE}.llama_cpp"
    assert PACKAGE not in sys.modules


def test_the_package_can_be_imported_later_and_shares_the_bindings(package: Path) -> None:
    imported = bindings.import_bindings()
    whole = import_module(PACKAGE)
    assert whole.high_level
    assert whole.llama_cpp.library is imported.library


def test_a_package_that_is_imported_already_is_left_alone(package: Path) -> None:
    whole = import_module(PACKAGE)
    assert bindings.import_bindings() is whole.llama_cpp
    assert sys.modules[PACKAGE] is whole


def test_bindings_that_do_not_load_leave_no_half_of_a_package(package: Path) -> None:
    (package / "loader.py").write_text("raise OSError('libllama.so: not found')\n")
    with pytest.raises(OSError, match="not found"):
        bindings.import_bindings()
    assert PACKAGE not in sys.modules


def test_the_version_is_read_and_not_imported(package: Path) -> None:
    assert bindings.version() == "1.2.3"
    (package / "__init__.py").write_text("")
    assert bindings.version() == ""
    assert PACKAGE not in sys.modules


def test_without_the_package_there_is_nothing_to_import(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bindings, "PACKAGE", "no_such_engine")
    assert not bindings.is_installed()
    assert bindings.version() == ""
    with pytest.raises(ModuleNotFoundError, match="no_such_engine"):
        bindings.import_bindings()
