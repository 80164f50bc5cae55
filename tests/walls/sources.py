"""The sources as syntax trees: what a module imports, names and calls."""

import ast
import io
import tokenize
from collections.abc import Iterator
from functools import cache
from pathlib import Path

from tests.checkout import ROOT

PRODUCT = ("service", "statemachines", "runner")


def modules(*folders: str, root: Path = ROOT) -> Iterator[tuple[str, ast.Module]]:
    """Every module below `folders`: its path from the root, and its tree."""
    for folder in folders:
        for path in sorted((root / folder).rglob("*.py")):
            yield path.relative_to(root).as_posix(), _tree(path)


@cache
def _tree(path: Path) -> ast.Module:
    return ast.parse(path.read_text(encoding="utf-8"))


def imports(tree: ast.Module) -> Iterator[str]:
    """Full names of what a module imports, at the top or anywhere else."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module is not None:
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def aliases(tree: ast.Module) -> dict[str, str]:
    """Full name of whatever an import gave another name, by that name."""
    found: dict[str, str] = {}
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            found |= {alias.asname: alias.name for alias in node.names if alias.asname}
        elif isinstance(node, ast.ImportFrom) and node.module is not None:
            found |= {alias.asname or alias.name: f"{node.module}.{alias.name}" for alias in node.names}
    return found


def dotted(tree: ast.Module) -> Iterator[str]:
    """Every `a.b` that a module mentions, whatever it calls `a`; its imports included."""
    yield from imports(tree)
    known = aliases(tree)
    for node in ast.walk(tree):
        if isinstance(node, ast.Attribute) and (owner := _full_name(node.value, known)):
            yield f"{owner}.{node.attr}"


def _full_name(node: ast.expr, known: dict[str, str]) -> str | None:
    """What a plain chain of names stands for; None for any other expression."""
    if isinstance(node, ast.Name):
        return known.get(node.id, node.id)
    if isinstance(node, ast.Attribute) and (owner := _full_name(node.value, known)):
        return f"{owner}.{node.attr}"
    return None


def comments(source: str) -> Iterator[str]:
    """Every comment of a module."""
    tokens = tokenize.generate_tokens(io.StringIO(source).readline)
    return (token.string for token in tokens if token.type == tokenize.COMMENT)


def calls(tree: ast.Module) -> Iterator[str]:
    """Names of the plain functions that a module calls."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name):
            yield node.func.id


def words(tree: ast.Module) -> Iterator[str]:
    """Every name and string constant, wherever it stands."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Name):
            yield node.id
        elif isinstance(node, ast.Attribute):
            yield node.attr
        elif isinstance(node, ast.Constant) and isinstance(node.value, str):
            yield node.value


def arguments(tree: ast.Module) -> Iterator[ast.arg]:
    """Arguments of every function: for a test, the fixtures that it asks for."""
    return (node for node in ast.walk(tree) if isinstance(node, ast.arg))
