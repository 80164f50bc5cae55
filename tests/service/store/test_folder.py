"""The folder: which files are models, and one warning for each that is not."""

import os
import time
from pathlib import Path

import pytest

from service.store.folder import ModelFolder
from tests.service.store.shelf import Shelf


def test_the_folder_is_made_on_first_start_and_is_empty(shelf: Shelf) -> None:
    assert shelf.folder.is_dir()
    assert shelf.names == []


def test_every_model_file_is_named_by_its_stem_newest_first(shelf: Shelf) -> None:
    shelf.put("Old.gguf", modified_s=1)
    shelf.put("llama3:8b.gguf", modified_s=3)
    shelf.put("b.gguf", modified_s=2)
    shelf.put("a.gguf", modified_s=2)
    assert shelf.names == ["llama3:8b", "a:latest", "b:latest", "Old:latest"]
    assert shelf.warnings() == []


def test_a_file_that_is_copied_in_or_taken_out_shows_at_once(shelf: Shelf) -> None:
    path = shelf.put("a.gguf")
    assert shelf.names == ["a:latest"]
    shelf.put("b.gguf")
    path.unlink()
    assert shelf.names == ["b:latest"]


def test_what_is_no_model_is_not_listed_and_not_mentioned(shelf: Shelf) -> None:
    for name in ("notes.txt", "a.gguf.part", "mmproj-a.gguf", "MMPROJ.gguf", "big-00002-of-00002.gguf"):
        shelf.put(name)
    assert shelf.names == []
    assert shelf.warnings() == []


def test_a_stem_that_is_no_name_is_skipped_with_one_warning(shelf: Shelf) -> None:
    shelf.put("not a name.gguf")
    shelf.put(".hidden.gguf")
    for _ in range(3):
        assert shelf.names == []
    why = "its name is no valid model name; rename it"
    assert shelf.warnings() == [(".hidden.gguf", why), ("not a name.gguf", why)]


def test_a_name_that_no_terminal_should_see_is_cleaned(shelf: Shelf) -> None:
    for name in (b"\xff.gguf", b"red \x1b[31m.gguf"):
        with open(os.path.join(os.fsencode(shelf.folder), name), "wb"):
            pass
    assert shelf.names == []
    assert [file for file, _ in shelf.warnings()] == [
        "red \N{REPLACEMENT CHARACTER}[31m.gguf",
        "\N{REPLACEMENT CHARACTER}.gguf",
    ]


def test_a_file_that_comes_back_is_warned_about_again(shelf: Shelf) -> None:
    path = shelf.put("bad name.gguf")
    assert shelf.names == []
    path.unlink()
    assert shelf.names == []
    shelf.put("bad name.gguf")
    assert shelf.names == []
    assert len(shelf.warnings()) == 2


def test_of_two_names_that_differ_in_case_the_one_that_was_there_stays(shelf: Shelf) -> None:
    shelf.put("demo.gguf")
    assert shelf.names == ["demo:latest"]
    shelf.put("DEMO.gguf")
    shelf.put("Demo:Latest.gguf")
    for _ in range(2):
        assert shelf.names == ["demo:latest"]
    assert [file for file, _ in shelf.warnings()] == ["DEMO.gguf", "Demo:Latest.gguf"]
    (shelf.folder / "demo.gguf").unlink()
    assert shelf.names == ["DEMO:latest"]


def test_what_is_no_regular_file_is_skipped(shelf: Shelf) -> None:
    (shelf.folder / "folder.gguf").mkdir()
    os.mkfifo(shelf.folder / "pipe.gguf")
    (shelf.folder / "broken.gguf").symlink_to(shelf.folder / "nowhere")
    (shelf.folder / "loop.gguf").symlink_to(shelf.folder / "loop.gguf")
    assert shelf.names == []
    assert [file for file, _ in shelf.warnings()] == ["broken.gguf", "folder.gguf", "loop.gguf", "pipe.gguf"]


def test_a_link_to_a_file_elsewhere_is_a_model(shelf: Shelf, tmp_path: Path) -> None:
    elsewhere = tmp_path / "blob"
    elsewhere.write_text("weights")
    (shelf.folder / "linked.gguf").symlink_to(elsewhere)
    assert shelf.names == ["linked:latest"]


def test_two_names_over_one_file_share_a_load_key(shelf: Shelf) -> None:
    (shelf.folder / "b.gguf").hardlink_to(shelf.put("a.gguf"))
    assert shelf.find("a").key == shelf.find("b").key


def test_a_split_model_is_its_first_part_with_all_parts(shelf: Shelf) -> None:
    for no, content in ((2, "22"), (1, "1"), (3, "333")):
        shelf.put(f"big-{no:05}-of-00003.gguf", content, modified_s=no)
    model = shelf.find("big")
    assert [Path(path).name for path in model.paths] == [f"big-{no:05}-of-00003.gguf" for no in (1, 2, 3)]
    assert model.size_bytes == 6
    assert model.identities[0].size_bytes == 1
    assert model.modified_ns == 3 * 10**9
    assert shelf.names == [model.name] == ["big:latest"]


def test_a_whole_file_keeps_its_name_before_a_split_one(shelf: Shelf) -> None:
    for name in ("big-00001-of-00001.gguf", "big.gguf", "new:8b-00001-of-00001.gguf"):
        shelf.put(name, name)
    assert shelf.names == ["big:latest", "new:8b"]
    assert Path(shelf.find("big").paths[0]).name == "big.gguf"
    assert shelf.warnings() == [("big-00001-of-00001.gguf", "its name is that of big.gguf")]


def test_a_split_model_with_a_part_missing_is_skipped(shelf: Shelf) -> None:
    shelf.put("big-00001-of-00002.gguf")
    shelf.put("odd-00001-of-00000.gguf")
    for _ in range(2):
        assert shelf.names == []
    assert shelf.warnings() == [
        ("big-00001-of-00002.gguf", "big-00002-of-00002.gguf is missing"),
        ("odd-00001-of-00000.gguf", "it says that it is one of 0 parts"),
    ]


def test_a_folder_that_cannot_be_read_is_said_once_and_replaces_nothing(
    shelf: Shelf, monkeypatch: pytest.MonkeyPatch
) -> None:
    shelf.put("a.gguf")
    assert shelf.names == ["a:latest"]

    def forbid(_: object) -> list[str]:
        raise PermissionError(13, "Permission denied")

    with monkeypatch.context() as patch:
        patch.setattr("service.store.folder.os.listdir", forbid)
        assert [shelf.names, shelf.names] == [[], []]
    assert [why for _, why in shelf.warnings()] == ["the models folder cannot be read: Permission denied"]
    assert shelf.replaced == []
    assert shelf.names == ["a:latest"]


def test_a_folder_that_is_gone_takes_its_models_with_it(shelf: Shelf) -> None:
    path = shelf.put("a.gguf")
    key = shelf.find("a").key
    path.unlink()
    shelf.folder.rmdir()
    assert shelf.names == []
    assert shelf.replaced == [key]


def test_a_folder_that_cannot_be_made_is_said(tmp_path: Path) -> None:
    (tmp_path / "models").write_text("a file")
    shelf = Shelf(tmp_path)
    assert shelf.names == []
    assert [row["event"] for row in shelf.lines.rows()] == ["the models folder cannot be made", "not served"]
    shelf.close()


def test_files_from_elsewhere_are_served_unless_the_folder_has_their_names(shelf: Shelf, tmp_path: Path) -> None:
    for name in ("extra.gguf", "a.gguf"):
        (tmp_path / name).write_text("from elsewhere")
    shelf.put("a.gguf")
    further = [tmp_path / "extra.gguf", tmp_path / "a.gguf", tmp_path / "absent.gguf"]
    found = ModelFolder(shelf.folder, shelf.log, wall_ns=time.time_ns, further=further).look()
    assert found is not None
    assert [path for model in found for path in model.paths] == [
        str(tmp_path / "extra.gguf"),
        str(shelf.folder / "a.gguf"),
    ]
    assert shelf.warnings() == []
