"""Formats: a folder that an older version has left becomes ours, whatever state it is in."""

from pathlib import Path

import msgspec
import pytest

from service.state import formats
from service.state.files import replace_whole
from service.state.formats import FORMAT, migrate, read_format
from tests.service.state.places import opened
from tests.service.store.shelf import Shelf
from tests.service.store.test_models import until_digests_are_known

IDENTITY = [1, 2, 3, 4]
FORMAT_0 = b'{"version":1,"rows":[[[1,2,3,4],"abc"]]}'
"""As the versions before the first format wrote it."""


async def test_the_digests_of_a_folder_without_a_format_are_kept(shelf: Shelf) -> None:
    """As `0.1.0-dev` left it: the cache of today in the form of then, and what a crash in a write of it left."""
    shelf.put("a.gguf")
    await until_digests_are_known(shelf)
    shelf.close()
    digests = shelf.state / "digests.json"
    rows = msgspec.json.decode(digests.read_bytes())["rows"]
    digests.write_bytes(msgspec.json.encode({"version": 1, "rows": rows}))
    (shelf.state / "digests.json.4711").write_bytes(digests.read_bytes()[:10])
    (shelf.state / "format").unlink()
    (shelf.state / "journals").mkdir()
    (shelf.state / "journals/journal-1.jsonl").write_text("kept")

    assert shelf.reopened().find("a").digest == shelf.find("a").digest is not None

    assert msgspec.json.decode(digests.read_bytes()) == {"rows": rows}
    assert sorted(path.name for path in shelf.state.iterdir()) == [
        "digests.json",
        "format",
        "journals",
        "lock",
        "owner.json",
    ]
    assert (shelf.state / "journals/journal-1.jsonl").read_text() == "kept"
    assert [row for row in shelf.lines.rows() if row["level"] == "warning"] == []


@pytest.mark.parametrize(
    "content",
    [
        b"{",
        b"[]",
        b'{"version":2,"rows":[]}',
        b'{"version":1,"rows":[["\xff"]]}',
        b"[" * 100_000,
        b" " * (formats.DIGESTS_BYTES_MAX + 1),
    ],
)
def test_a_cache_that_means_nothing_is_dropped(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "digests.json").write_bytes(content)
    with opened(tmp_path) as place:
        assert place.folder.read("digests.json", bytes_max=9) is None
        assert place.warnings() == []


def test_a_migration_that_was_interrupted_is_finished_the_next_time(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "digests.json").write_bytes(FORMAT_0)

    def cut(path: Path, data: bytes) -> None:
        if path.name == "format":
            raise OSError(28, "No space left on device")
        replace_whole(path, data)

    with monkeypatch.context() as patch:
        patch.setattr(formats, "replace_whole", cut)
        with opened(tmp_path) as place:
            assert [row["why"] for row in place.warnings()] == ["No space left on device"]
    assert read_format(tmp_path) == 0
    with opened(tmp_path) as place:
        assert place.warnings() == []
        assert msgspec.json.decode((tmp_path / "digests.json").read_bytes()) == {"rows": [[IDENTITY, "abc"]]}


def test_each_step_is_taken_and_numbered(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    taken: list[int] = []
    steps = [lambda _folder, number=number: taken.append(number) for number in range(3)]
    monkeypatch.setattr(formats, "MIGRATIONS", steps)
    monkeypatch.setattr(formats, "FORMAT", 3)
    migrate(tmp_path, 1)
    assert (taken, read_format(tmp_path)) == ([1, 2], 3)
    migrate(tmp_path, FORMAT + 2)
    assert taken == [1, 2]
