"""Whole files: the old content or the new one, and nothing else."""

from pathlib import Path

import pytest

from service.state import files
from service.state.files import TooLarge, read_whole, replace_whole


def test_a_file_is_replaced_by_another_one(tmp_path: Path) -> None:
    path = tmp_path / "x"
    replace_whole(path, b"one")
    with path.open("rb") as before:
        replace_whole(path, b"two")
        assert before.read() == b"one"
    assert (read_whole(path, bytes_max=3), [*tmp_path.iterdir()]) == (b"two", [path])
    with pytest.raises(TooLarge):
        read_whole(path, bytes_max=2)


def test_a_write_that_fails_changes_nothing_and_leaves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(_fd: int) -> None:
        raise OSError(28, "No space left on device")

    path = tmp_path / "x"
    replace_whole(path, b"one")
    monkeypatch.setattr(files.os, "fsync", fail)
    with pytest.raises(OSError, match="No space"):
        replace_whole(path, b"two")
    assert (path.read_bytes(), [*tmp_path.iterdir()]) == (b"one", [path])


def test_what_a_crash_in_a_write_left_is_written_over(tmp_path: Path) -> None:
    path = tmp_path / "x"
    (tmp_path / f"x{files.FRESH_SUFFIX}").write_bytes(b"half of something longer")
    replace_whole(path, b"two")
    assert (path.read_bytes(), [*tmp_path.iterdir()]) == (b"two", [path])
