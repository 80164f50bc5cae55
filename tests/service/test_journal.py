"""The journal: a ring, and a dump that never fails and never fills a disk."""

import os
from pathlib import Path

import pytest

from service.journal import DUMP_FILES, RingJournal, read_dump
from statemachines.effects import KillRunner, RefuseRequest
from statemachines.errors import Refusal, RefusalCode
from statemachines.events import Exit, LeaseEnded, LeaseOutcome, ProcessExited, RequestArrived, RequestFinished
from statemachines.facts import LoadKey, LoadOptions
from statemachines.limits import Limits
from statemachines.units import LeaseId, RequestId, RunnerId
from tests.fakes.clock import WALL_START_NS, HandClock
from tests.fakes.store import SIZES


def journal(folder: Path | None, steps_max: int = 10) -> RingJournal:
    return RingJournal(version="1.2.3", limits=Limits(), clock=HandClock(5), folder=lambda: folder, steps_max=steps_max)


def fill(ring: RingJournal, count: int) -> None:
    for number in range(count):
        ring.write(RequestFinished(at=number, request=RequestId(number)), ())


def test_only_the_last_steps_are_kept() -> None:
    ring = journal(None, steps_max=3)
    fill(ring, 5)

    assert [step.event.at for step in ring.steps()] == [2, 3, 4]


def test_a_dump_can_be_read_back_as_what_was_written(tmp_path: Path) -> None:
    arrived = RequestArrived(
        at=1, request=RequestId(1), model="a", key=LoadKey("file:1"), wanted=LoadOptions(64), sizes=SIZES
    )
    refused = RefuseRequest(RequestId(1), Refusal(RefusalCode.QUEUE_FULL, "full", 5))
    ended = LeaseEnded(at=2, runner=RunnerId(1), lease=LeaseId(1), outcome=LeaseOutcome.CRASHED, sent=True)
    exited = ProcessExited(at=3, runner=RunnerId(1), exit=Exit(-9, True, "tail"))
    ring = journal(tmp_path / "journals")
    for event, effects in ((arrived, (refused,)), (ended, ()), (exited, (KillRunner(RunnerId(2)),))):
        ring.write(event, effects)

    ring.dump("a test wants it")

    header, steps = read_dump(tmp_path / "journals" / "journal-1.jsonl")
    assert steps == ring.steps()
    assert (header.version, header.limits, header.why) == ("1.2.3", Limits(), "a test wants it")
    assert (header.dumped_at, header.dumped_wall_ns, header.steps_written) == (5, WALL_START_NS + 5, 3)


def test_dumps_take_turns_in_few_files(tmp_path: Path) -> None:
    ring = journal(tmp_path)
    for number in range(DUMP_FILES + 1):
        ring.dump(f"dump {number}")

    assert len(list(tmp_path.iterdir())) == DUMP_FILES
    assert read_dump(tmp_path / "journal-1.jsonl")[0].why == f"dump {DUMP_FILES}"


def test_a_new_run_writes_over_the_oldest_dump_of_the_runs_before(tmp_path: Path) -> None:
    for number in range(1, DUMP_FILES + 1):
        (tmp_path / f"journal-{number}.jsonl").write_text("of an earlier run")
        os.utime(tmp_path / f"journal-{number}.jsonl", (0, 3 if number != 5 else 2))

    journal(tmp_path).dump("a crash")

    changed = [path.name for path in tmp_path.iterdir() if "a crash" in path.read_text()]
    assert changed == ["journal-5.jsonl"]


def test_where_no_file_can_be_written_standard_error_gets_the_last_steps(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    in_the_way = tmp_path / "file"
    in_the_way.touch()
    ring = journal(in_the_way, steps_max=1000)
    fill(ring, 200)

    ring.dump("the disk is full")

    lines = capsys.readouterr().err.splitlines()
    assert "the disk is full" in lines[0]
    assert len(lines) == 51
    assert '"at":199' in lines[-1]


def test_a_dump_into_a_closed_standard_error_is_silent(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    closed = (tmp_path / "err").open("w")
    closed.close()
    monkeypatch.setattr("sys.stderr", closed)

    journal(None).dump("nobody listens")
