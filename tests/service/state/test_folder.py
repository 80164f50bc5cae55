"""The state folder: one writer, whoever else comes, whatever the disk does, and whoever was there before."""

import os
import signal
from pathlib import Path

import msgspec
import pytest
import trio
from trio.testing import MockClock

from service.births import ProcessIdentity
from service.state import folder as folder_module
from service.state import formats
from service.state.folder import ASK_AGAIN_NS
from service.state.formats import FORMAT
from service.state.owner import Owner, decode
from statemachines.errors import ConfigError
from statemachines.units import NS_PER_S
from tests.fakes.clock import TrioClock
from tests.service.state.places import US, Place, held_elsewhere, opened

IN_USE = {"lock": b"", "format": b"%d\n" % FORMAT, "owner.json": msgspec.json.encode(US)}
AT_REST = {name: data for name, data in IN_USE.items() if name != "owner.json"}


def test_an_open_folder_says_whose_it_is_and_a_closed_one_nothing(tmp_path: Path) -> None:
    with opened(tmp_path / "deep/state") as place:
        assert place.files() == IN_USE
    assert place.files() == AT_REST
    assert place.lines.rows() == []


async def test_what_is_written_is_read_back_by_the_next_server(tmp_path: Path) -> None:
    with opened(tmp_path) as place:
        await place.folder.write("x", b"one")
        await place.folder.write("x", b"two")
        assert place.folder.read("x", bytes_max=3) == b"two"
    with opened(tmp_path) as place:
        assert place.folder.read("x", bytes_max=3) == b"two"
        assert place.folder.read("y", bytes_max=3) is None
        assert place.folder.journals() == tmp_path / "journals"
        with pytest.raises(OSError, match="more than 2 bytes"):
            place.folder.read("x", bytes_max=2)
    assert place.before is None
    assert place.lines.rows() == []


async def test_a_folder_that_is_not_open_gives_and_takes_nothing(tmp_path: Path) -> None:
    (tmp_path / "x").write_bytes(b"1")
    place = Place(tmp_path)
    await place.folder.write("x", b"2")
    assert place.folder.read("x", bytes_max=9) is None
    assert place.folder.journals() is None
    assert place.files() == {"x": b"1"}


# Two servers


async def test_a_second_server_reads_writes_nothing_and_names_the_holder(tmp_path: Path) -> None:
    with opened(tmp_path) as first:
        await first.folder.write("x", b"1")
        with opened(tmp_path) as second:
            await second.folder.write("x", b"2")
            await second.folder.write("y", b"2")
            assert second.folder.read("x", bytes_max=9) == b"1"
            assert second.folder.journals() is None
        assert first.files() == {**IN_USE, "x": b"1"}
    (row,) = second.warnings()
    assert row["event"] == "another server has the state folder: this one reads it and writes nothing there"
    assert (row["folder"], row["pid"], row["address"]) == (str(tmp_path), os.getpid(), US.address)
    assert (row["started"], row["version"]) == ("2023-11-14T22:13:20+00:00", US.version)


def test_a_holder_that_has_not_signed_is_unknown_and_so_is_one_whose_signature_is_old(tmp_path: Path) -> None:
    with opened(tmp_path) as first:
        for signature in (b"", b"{", msgspec.json.encode(msgspec.structs.replace(US, process=ProcessIdentity(1, 1)))):
            (tmp_path / "owner.json").write_bytes(signature)
            with opened(tmp_path) as second:
                pass
            assert [row["pid"] for row in second.warnings()] == ["unknown"]
    assert first.before is None


class Clearing:
    """Remembers behind whom was cleared up."""

    def __init__(self) -> None:
        self.behind: list[Owner | None] = []

    async def __call__(self, before: Owner | None) -> None:
        self.behind.append(before)


async def test_a_second_server_takes_over_when_the_first_has_ended(tmp_path: Path, autojump_clock: MockClock) -> None:
    clearing = Clearing()
    with opened(tmp_path) as first, opened(tmp_path) as second:
        await second.folder.write("x", b"too early")
        first.folder.close()
        await second.folder.take_over(clearing, TrioClock())
        await second.folder.write("x", b"1")
        assert second.files() == {**IN_USE, "x": b"1"}
        assert [row["level"] for row in second.lines.rows()] == ["warning", "info"]
    assert second.files() == {**AT_REST, "x": b"1"}
    assert clearing.behind == [None]


async def test_it_asks_for_as_long_as_the_first_one_lives(tmp_path: Path, autojump_clock: MockClock) -> None:
    with opened(tmp_path), opened(tmp_path) as second:
        with trio.move_on_after(5 * ASK_AGAIN_NS / NS_PER_S) as patience:
            await second.folder.take_over(Clearing(), TrioClock())
        assert patience.cancelled_caught
        assert second.folder.writable() is None


async def test_one_that_has_the_folder_from_the_start_asks_nobody(tmp_path: Path) -> None:
    clearing = Clearing()
    with opened(tmp_path) as only:
        await only.folder.take_over(clearing, TrioClock())
    assert clearing.behind == []


async def test_it_clears_up_behind_one_that_was_killed(tmp_path: Path, autojump_clock: MockClock) -> None:
    clearing = Clearing()
    with held_elsewhere(tmp_path) as holder, opened(tmp_path) as second:
        os.kill(holder.pid, signal.SIGKILL)
        holder.wait()
        await second.folder.take_over(clearing, TrioClock())
        (before,) = clearing.behind
        assert before is not None
        assert before.process.pid == holder.pid


async def test_a_second_server_does_not_take_over_what_a_newer_one_has_left(
    tmp_path: Path, autojump_clock: MockClock
) -> None:
    with opened(tmp_path) as first, opened(tmp_path) as second:
        first.folder.close()
        (tmp_path / "format").write_bytes(b"99")
        await second.folder.take_over(Clearing(), TrioClock())
        assert second.folder.journals() is None
        assert second.files() == {"lock": b"", "format": b"99"}
        assert "newer Roundhouse" in str(second.warnings()[-1]["why"])


class Impatient(TrioClock):
    """Whatever is waited for is due."""

    def deadline(self, at: int) -> float:
        return trio.current_time()


async def test_what_cannot_be_used_is_asked_for_again(tmp_path: Path) -> None:
    with opened(tmp_path) as first, opened(tmp_path) as second:
        first.folder.close()
        (tmp_path / "format").write_bytes(b"what?")
        async with trio.open_nursery() as nursery:
            nursery.start_soon(second.folder.take_over, Clearing(), Impatient())
            while len(second.warnings()) < 2:
                await trio.lowlevel.checkpoint()
            (tmp_path / "format").write_bytes(b"1")
        assert [row.get("why") for row in second.warnings()] == [None, "its format is no number"]
        assert second.folder.writable() == tmp_path


async def test_a_folder_that_has_become_usable_may_have_become_anothers(tmp_path: Path) -> None:
    (tmp_path / "lock").mkdir()
    with opened(tmp_path) as first:
        (tmp_path / "lock").rmdir()
        async with trio.open_nursery() as nursery:
            with opened(tmp_path) as second:
                nursery.start_soon(first.folder.take_over, Clearing(), Impatient())
                while len(first.warnings()) < 2:
                    await trio.lowlevel.checkpoint()
                assert second.folder.writable() == tmp_path
        assert first.folder.writable() == tmp_path


async def test_a_folder_that_is_taken_while_the_service_ends_is_let_go_of(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with opened(tmp_path) as first, opened(tmp_path) as second:
        first.folder.close()
        take, ending = second.folder._take, trio.CancelScope()

        def take_and_end() -> object:
            taken = take()
            trio.from_thread.run_sync(ending.cancel)
            return taken

        monkeypatch.setattr(second.folder, "_take", take_and_end)
        with ending:
            await second.folder.take_over(Clearing(), Impatient())
        second.folder.close()
        assert second.files() == AT_REST
        with opened(tmp_path) as third:
            assert third.folder.writable() == tmp_path


# Another process


def test_the_lock_counts_between_processes(tmp_path: Path) -> None:
    with held_elsewhere(tmp_path) as holder, opened(tmp_path) as second:
        assert [row["pid"] for row in second.warnings()] == [holder.pid]


def test_the_system_lets_go_of_a_killed_server_s_lock_and_the_next_one_knows_of_it(tmp_path: Path) -> None:
    with held_elsewhere(tmp_path) as holder:
        os.kill(holder.pid, signal.SIGKILL)
        holder.wait()
        with opened(tmp_path) as place:
            assert place.before is not None
            assert (place.before.process.pid, place.before.address) == (holder.pid, "http://127.0.0.1:2")
            assert place.warnings() == []


def test_what_the_record_of_a_dead_server_says_does_not_matter(tmp_path: Path) -> None:
    (tmp_path / "owner.json").write_bytes(b"\x00" * 5000)
    with opened(tmp_path) as place:
        assert (place.before, place.warnings()) == (None, [])


NOT_UTF8 = b'{"process":{"pid":1,"birth":1},"address":"\xff","version":"","since_ns":1}'
BEYOND_ALL_CALENDARS = b'{"process":{"pid":1,"birth":1},"address":"","version":"","since_ns":1%s}' % (b"0" * 30)


@pytest.mark.parametrize("data", [b"", b"[]", b'{"process": 1}', b"\xff", NOT_UTF8, b"[" * 4000, BEYOND_ALL_CALENDARS])
def test_a_record_that_is_none_is_nobody(data: bytes) -> None:
    assert decode(data) is None


# Formats


@pytest.mark.parametrize("taken", [False, True])
def test_a_newer_folder_is_refused_and_left_as_it_is(tmp_path: Path, taken: bool) -> None:
    place = Place(tmp_path)
    (tmp_path / "format").write_bytes(b"7\n")
    (tmp_path / "digests.json").write_bytes(b"whatever this may be")
    if taken:
        (tmp_path / "lock").touch()
    before = place.files()
    with pytest.raises(ConfigError) as refused:
        place.folder.open(US)
    assert str(refused.value) == (
        f"state: {tmp_path} was written by a newer Roundhouse (its format is 7, this version knows {FORMAT} at most); "
        "start that version again, or name another folder with --state"
    )
    assert place.files() == before


def test_a_folder_that_becomes_newer_while_its_lock_is_asked_for_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Late(folder_module.FileLock):
        def __init__(self, path: Path) -> None:
            super().__init__(path)
            path.with_name("format").write_bytes(b"7")

    monkeypatch.setattr(folder_module, "FileLock", Late)
    with pytest.raises(ConfigError):
        Place(tmp_path).folder.open(US)
    monkeypatch.undo()
    (tmp_path / "format").unlink()
    with opened(tmp_path) as place:
        assert place.warnings() == []


@pytest.mark.parametrize("content", [b"", b"one", b"1\n2", b"-1", b"1" * 40])
def test_a_format_that_is_no_number_leaves_the_folder_alone(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "format").write_bytes(content)
    with opened(tmp_path) as place:
        assert place.files() == {"format": content}
        assert len(place.warnings()) == 1


def test_every_format_has_one_migration_and_the_page_a_row_for_each() -> None:
    rows = [line for line in (formats.__doc__ or "").splitlines() if line.startswith("| ") and line[2].isdigit()]
    assert [int(row.split()[1]) for row in rows] == list(range(FORMAT + 1))


# Disks


@pytest.mark.parametrize("in_the_way", ["state", "state/lock", "state/owner.json"])
async def test_a_folder_that_cannot_be_used_is_said_once_and_costs_nothing_else(
    tmp_path: Path, in_the_way: str
) -> None:
    path = tmp_path / in_the_way
    if in_the_way == "state":
        path.touch()
    else:
        path.mkdir(parents=True)
    with opened(tmp_path / "state") as place:
        await place.folder.write("x", b"1")
        await place.folder.write("x", b"2")
        assert place.folder.read("x", bytes_max=9) is None
        assert place.folder.journals() is None
    (row,) = place.warnings()
    assert row["event"] == "the state folder cannot be used: until it can, digests and journals end with this run"
    assert row["why"] in ("File exists", "Is a directory")


async def test_a_full_disk_is_said_once_and_again_after_it_had_room(tmp_path: Path) -> None:
    with opened(tmp_path) as place:
        (tmp_path / "x").mkdir()
        await place.folder.write("x", b"1")
        await place.folder.write("x", b"1")
        assert [row["why"] for row in place.warnings()] == ["Is a directory"]
        await place.folder.write("y", b"1")
        await place.folder.write("x", b"1")
        assert len(place.warnings()) == 2
        assert sorted(place.files()) == ["format", "lock", "owner.json", "y"]


def test_a_signature_that_cannot_be_taken_back_is_said(tmp_path: Path) -> None:
    with opened(tmp_path) as place:
        (tmp_path / "owner.json").unlink()
        (tmp_path / "owner.json").mkdir()
    assert [row["event"] for row in place.warnings()] == ["the state folder takes nothing"]
