"""The demo: served when asked for, and only where nobody has a model of that name."""

import time

from service.config import Settings
from service.store.folder import ModelFolder
from service.store.packaged import DEMO_FILE
from tests.service.store.shelf import Shelf


def names(shelf: Shelf) -> list[tuple[str, str]]:
    found = ModelFolder(shelf.folder, shelf.log, wall_ns=time.time_ns, further=[DEMO_FILE]).look()
    assert found is not None
    return [(str(model.name), model.paths[0]) for model in found]


def test_the_demo_comes_after_what_the_folder_has(shelf: Shelf) -> None:
    own = shelf.put("a.gguf")
    assert sorted(names(shelf)) == [("a:latest", str(own)), ("demo:latest", str(DEMO_FILE))]


def test_somebodys_own_demo_comes_first_and_without_a_warning(shelf: Shelf) -> None:
    own = shelf.put("Demo.gguf")
    assert names(shelf) == [("Demo:latest", str(own))]
    assert shelf.warnings() == []


def test_the_demo_is_not_served_unless_asked_for(shelf: Shelf) -> None:
    assert not Settings(models=shelf.folder, state=shelf.state).demo
    assert shelf.names == []
