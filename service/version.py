"""Versions of ourselves and of the engine, as installed; read without importing either."""

from importlib import metadata

ENGINE = "llama-cpp-python"


def own_version() -> str:
    """Roundhouse's version, or ``0`` from a tree that was never installed."""
    return _version("roundhouse") or "0"


def engine_version() -> str:
    """Such as ``llama-cpp-python 0.3.36``; empty when the engine is not installed."""
    found = _version(ENGINE)
    return f"{ENGINE} {found}" if found else ""


def _version(distribution: str) -> str | None:
    try:
        return metadata.version(distribution)
    except metadata.PackageNotFoundError:
        return None
