"""Digests: right, remembered, and never a reason to fail."""

import hashlib
import os
import threading
from collections.abc import Callable
from pathlib import Path

import pytest
import trio

from service.state import folder
from service.state.formats import DIGESTS_BYTES_MAX, DIGESTS_FILE
from service.store import digests
from service.store.background import in_background
from service.store.digests import FileChanged, digest_of
from service.store.identity import identity_of
from statemachines.facts import FileIdentity
from tests.service.store.shelf import Shelf
from tests.service.store.test_models import until_digests_are_known


def wanted() -> bool:
    return False


def test_the_digest_is_sha256_of_the_whole_file(tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_bytes(b"GGUF" + os.urandom(digests.CHUNK_BYTES * 2 + 17))
    assert digest_of(str(path), identity_of(path.stat()), wanted) == hashlib.sha256(path.read_bytes()).hexdigest()


def test_a_file_that_is_another_one_or_becomes_it_has_no_digest(tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_bytes(b"GGUF before")
    identity = identity_of(path.stat())

    def grow() -> bool:
        path.write_bytes(b"GGUF afterwards")
        return False

    with pytest.raises(FileChanged):
        digest_of(str(path), identity, grow)
    with pytest.raises(FileChanged):
        digest_of(str(path), identity, wanted)


async def test_files_that_are_looked_at_while_one_is_read_are_read_once(
    shelf: Shelf, monkeypatch: pytest.MonkeyPatch
) -> None:
    reads: list[str] = []
    both_read = trio.Event()

    async def at_once(work: Callable[[Callable[[], bool]], str]) -> str:
        assert len(shelf.names) == 2  # A request comes meanwhile, and wishes for the same.
        return work(wanted)

    def read(path: str, _identity: FileIdentity, _is_unwanted: object) -> str:
        reads.append(Path(path).name)
        if len({*reads}) == 2:
            both_read.set()
        return path

    shelf.put("a.gguf")
    shelf.put("b.gguf")
    monkeypatch.setattr(digests, "in_background", at_once)
    monkeypatch.setattr(digests, "digest_of", read)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(shelf.store.run)
        await both_read.wait()
        nursery.cancel_scope.cancel()
    assert sorted(reads) == ["a.gguf", "b.gguf"]


def test_an_unwanted_digest_is_given_up(tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_bytes(b"GGUF")
    assert digest_of(str(path), identity_of(path.stat()), lambda: True) is None


async def test_a_split_model_has_the_digest_of_its_parts_digests(shelf: Shelf) -> None:
    contents = ["GGUF one", "GGUF two"]
    for no, content in enumerate(contents, start=1):
        shelf.put(f"m-{no:05}-of-00002.gguf", content)
    await until_digests_are_known(shelf)
    lines = "\n".join(hashlib.sha256(content.encode()).hexdigest() for content in contents)
    assert shelf.find("m").digest == hashlib.sha256(lines.encode()).hexdigest()


NOT_UTF8 = b'{"rows":[[{"device":1,"inode":2,"size_bytes":3,"modified_ns":4},"\xff"]]}'


@pytest.mark.parametrize("content", [b"", b"{", b"{}", b'{"rows": [[[1, 2, 3], "x"]]}', NOT_UTF8])
async def test_a_cache_that_cannot_be_used_is_made_anew(shelf: Shelf, content: bytes) -> None:
    (shelf.state / DIGESTS_FILE).write_bytes(content)
    shelf.put("a.gguf")
    store = shelf.reopened()
    assert store.find("a").digest is None
    assert [row["level"] for row in shelf.lines.rows()] == ["warning"]
    await until_digests_are_known(shelf, store)
    assert shelf.reopened().find("a").digest is not None


def test_a_cache_that_is_too_large_is_not_used(shelf: Shelf) -> None:
    with (shelf.state / DIGESTS_FILE).open("wb") as file:
        file.truncate(DIGESTS_BYTES_MAX + 1)
    shelf.reopened()
    assert [row["level"] for row in shelf.lines.rows()] == ["warning"]


async def test_a_disk_that_takes_nothing_costs_nothing_else(shelf: Shelf, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(folder, "replace_whole", fail)
    shelf.put("a.gguf")
    await until_digests_are_known(shelf)
    assert shelf.find("a").digest is not None


async def test_another_server_s_digests_are_used_and_not_written(tmp_path: Path, shelf: Shelf) -> None:
    second = Shelf(tmp_path)
    shelf.put("a.gguf")
    await until_digests_are_known(shelf)
    assert second.reopened().find("a").digest == shelf.find("a").digest
    before = (shelf.state / DIGESTS_FILE).read_bytes()
    shelf.put("b.gguf", "GGUF other weights")
    await until_digests_are_known(second)
    assert (shelf.state / DIGESTS_FILE).read_bytes() == before


async def test_only_so_many_digests_are_remembered(shelf: Shelf, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(digests, "DIGESTS_MAX", 2)
    found = digests.Digests(shelf.state_folder, shelf.log)
    for number in range(5):
        path = shelf.put(f"{number}.gguf", f"GGUF {number}")
        await found._find_out(identity_of(path.stat()), str(path))
    assert list(found._known.values()) == [hashlib.sha256(f"GGUF {number}".encode()).hexdigest() for number in (3, 4)]


@pytest.mark.parametrize("content", [b"", b"GGU", b"root:x:0:0:\n", b"PK\x03\x04", b"\0GGUF"])
async def test_a_link_to_what_is_no_model_file_does_not_tell_its_sum(
    shelf: Shelf, tmp_path: Path, content: bytes
) -> None:
    (tmp_path / "secret").write_bytes(content)
    (shelf.folder / "a.gguf").symlink_to(tmp_path / "secret")
    await until_warned(shelf)
    assert shelf.warnings() == [("a.gguf", "it is not a GGUF file")]
    assert shelf.find("a").digest is None


def test_a_file_that_has_become_a_pipe_is_not_waited_for(tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_bytes(b"GGUF")
    identity = identity_of(path.stat())
    path.unlink()
    os.mkfifo(path)
    with pytest.raises(FileChanged):
        digest_of(str(path), identity, wanted)


async def until_warned(shelf: Shelf) -> None:
    """Run the store's background task until it has warned of something."""
    async with trio.open_nursery() as nursery:
        nursery.start_soon(shelf.store.run)
        while not shelf.warnings():
            await trio.lowlevel.checkpoint()
        assert len(shelf.names) == 1
        nursery.cancel_scope.cancel()


async def test_a_file_that_cannot_be_read_is_given_up_with_one_warning(
    shelf: Shelf, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object) -> str:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(digests, "digest_of", fail)
    shelf.put("a.gguf")
    await until_warned(shelf)
    assert shelf.warnings() == [("a.gguf", "it cannot be read: Permission denied")]
    assert shelf.find("a").digest is None


async def test_a_file_that_changes_meanwhile_is_wanted_again(shelf: Shelf, monkeypatch: pytest.MonkeyPatch) -> None:
    real, changes = digests.digest_of, iter([True])

    def change_once(path: str, *rest: object) -> str | None:
        if next(changes, False):
            raise FileChanged
        return real(path, *rest)  # type: ignore[arg-type]  # as it came

    monkeypatch.setattr(digests, "digest_of", change_once)
    shelf.put("a.gguf")
    await until_digests_are_known(shelf)
    assert shelf.warnings() == []


async def test_work_in_the_background_tells_what_it_raised() -> None:
    def fail(_: object) -> None:
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        await in_background(fail)


async def test_work_that_nobody_wants_is_told_so() -> None:
    began, saw = threading.Event(), list[bool]()

    def work(is_unwanted: object) -> None:
        assert callable(is_unwanted)
        began.set()
        while not is_unwanted():
            pass
        saw.append(True)

    async with trio.open_nursery() as nursery:
        nursery.start_soon(in_background, work)
        await trio.to_thread.run_sync(began.wait)
        nursery.cancel_scope.cancel()
    assert saw == [True]


async def test_the_background_has_the_lowest_priority_and_nobody_else() -> None:
    def priority(_: object) -> int:
        return os.getpriority(os.PRIO_PROCESS, threading.get_native_id())

    before = os.getpriority(os.PRIO_PROCESS, 0)
    assert await in_background(priority) == 19
    assert os.getpriority(os.PRIO_PROCESS, 0) == before
