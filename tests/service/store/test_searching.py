"""A question about one model looks at that model's files; at the others only when their list may have changed."""

import os
from collections.abc import Callable
from pathlib import Path

import pytest
import trio

from service.store.folder import SETTLED_NS
from service.store.identity import identity_of
from statemachines.errors import RequestRefused
from tests.service.store.shelf import Shelf
from tests.service.store.test_models import until_digests_are_known


@pytest.fixture
def listed(shelf: Shelf, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Every listing of the folder from now on: two models whose digests are known, in a folder that is at rest."""
    shelf.put("a.gguf", "GGUF one")
    shelf.put("b.gguf", "GGUF other")
    shelf.settle()
    trio.run(until_digests_are_known, shelf)
    shelf.find("a")
    found, listdir = list[str](), os.listdir

    def noted(path: str) -> list[str]:
        found.append(path)
        return listdir(path)

    monkeypatch.setattr("service.store.folder.os.listdir", noted)
    return found


def test_a_folder_at_rest_is_not_listed_again(shelf: Shelf, listed: list[str]) -> None:
    names = [shelf.find(reference).name for reference in ("a", "B:latest", "library/a:local")]
    assert names == ["a:latest", "b:latest", "a:latest"]
    assert listed == []


CHANGES: dict[str, Callable[[Path], object]] = {
    "another file comes": lambda folder: (folder / "c.gguf").write_text("GGUF three"),
    "another file goes": lambda folder: (folder / "b.gguf").unlink(),
    "its file is replaced": lambda folder: (folder / "b.gguf").rename(folder / "a.gguf"),
    "its file is written over": lambda folder: (folder / "a.gguf").write_text("GGUF another"),
}


@pytest.mark.parametrize("change", CHANGES.values(), ids=CHANGES)
def test_a_folder_in_which_something_changed_is_listed_again(
    shelf: Shelf, listed: list[str], change: Callable[[Path], object]
) -> None:
    change(shelf.folder)
    assert shelf.find("a").identities == (identity_of(os.stat(shelf.folder / "a.gguf")),)
    assert len(listed) == 1


@pytest.mark.parametrize("gone", ["a.gguf", ""])
def test_what_is_gone_is_not_found(shelf: Shelf, listed: list[str], gone: str) -> None:
    if gone:
        (shelf.folder / gone).unlink()
    else:
        shelf.folder.rename(shelf.folder.with_name("moved"))
    with pytest.raises(RequestRefused, match="not found"):
        shelf.find("a")


def test_a_name_that_was_not_there_is_looked_for(shelf: Shelf, listed: list[str]) -> None:
    with pytest.raises(RequestRefused, match="not found"):
        shelf.find("c")
    assert len(listed) == 1


def test_a_folder_that_changed_a_moment_ago_may_have_changed_again(shelf: Shelf, listed: list[str]) -> None:
    shelf.settle(changed_ns=2_000, since_ns=SETTLED_NS)
    for count in (1, 2, 3):
        assert shelf.find("a").name == "a:latest"
        assert len(listed) == count
    shelf.wall.wall += 1
    shelf.find("a")
    listed.clear()
    shelf.find("a")
    assert listed == []


def test_a_model_whose_digest_is_not_known_is_looked_for(
    shelf: Shelf, monkeypatch: pytest.MonkeyPatch, listed: list[str]
) -> None:
    """Each look is also a wish for the digests that are not known."""
    monkeypatch.setattr(shelf.store._digests, "_known", {})
    shelf.find("a")
    assert len(listed) == 1
