"""The engine's bindings without the package around them.

What the package imports by itself is its high-level half: numpy, a cache on disk, chat formats. Nothing here uses it,
and it would cost each runner a tenth of a second at its start, and 14 MB for as long as it lives.
"""

import re
import sys
from importlib import import_module
from importlib.util import find_spec, module_from_spec
from pathlib import Path
from typing import Any

PACKAGE = "llama_cpp"
_VERSION = re.compile(r'^__version__ = "([^"]+)"', re.MULTILINE)


def is_installed() -> bool:
    """Whether there is an engine to import."""
    return find_spec(PACKAGE) is not None


def import_bindings() -> Any:
    """The module with the native library's functions; the package counts as not imported afterwards, if it was not.

    Raises:
        ImportError: there is no engine, or it cannot be loaded.
    """
    bindings = f"{PACKAGE}.llama_cpp"
    if PACKAGE in sys.modules:
        return import_module(bindings)
    spec = find_spec(PACKAGE)
    if spec is None:
        raise ModuleNotFoundError(f"no module named {PACKAGE}")
    sys.modules[PACKAGE] = module_from_spec(spec)  # It knows where its parts lie, and none of its code has run.
    try:
        return import_module(bindings)
    finally:
        del sys.modules[PACKAGE]


def version() -> str:
    """The installed package's version as its source says it; empty when it does not."""
    spec = find_spec(PACKAGE)
    found = _VERSION.search(Path(spec.origin).read_text(encoding="utf-8")) if spec and spec.origin else None
    return found[1] if found else ""
