"""The aftermath: one line about whatever was left, and none about nothing."""

from pathlib import Path
from typing import Any

import psutil
import pytest
import trio

from service import aftermath
from service.aftermath import clear_up
from service.logs import make_log
from service.state.owner import Owner, this_process
from tests.service.shell import LogLines

BEFORE = this_process("http://127.0.0.1:1", 0)
WHO: dict[str, Any] = {**BEFORE.words(), "started": "1970-01-01T00:00:00+00:00"}


class Orphan:
    """As far as it is looked at here."""

    def __init__(self, pid: int) -> None:
        self.pid = pid


A, B = Orphan(11), Orphan(12)


@pytest.mark.parametrize(
    ("before", "found", "remaining", "event", "fields"),
    [
        (BEFORE, [], [], "the server before this one ended without stopping", {**WHO, "runners_ended": []}),
        (BEFORE, [A, B], [], "the server before this one ended without stopping", {**WHO, "runners_ended": [11, 12]}),
        (
            BEFORE,
            [A, B],
            [B],
            "the server before this one ended without stopping",
            {**WHO, "runners_ended": [11], "runners_unreapable": [12]},
        ),
        (None, [A], [], "a server that is gone has left runners", {"runners_ended": [11]}),
    ],
)
async def test_what_was_left_is_one_warning(
    monkeypatch: pytest.MonkeyPatch,
    before: Owner | None,
    found: list[psutil.Process],
    remaining: list[psutil.Process],
    event: str,
    fields: dict[str, Any],
) -> None:
    monkeypatch.setattr(aftermath, "find_orphans", lambda _state: found)
    monkeypatch.setattr(aftermath, "end_orphans", lambda orphans: remaining if orphans is found else None)
    (row,) = await lines_of_clearing_up(before)
    assert (row.pop("level"), row.pop("event"), bool(row.pop("timestamp"))) == ("warning", event, True)
    assert row == fields


async def test_nothing_is_no_line(tmp_path: Path) -> None:
    assert await lines_of_clearing_up(None, tmp_path) == []


async def test_a_look_that_hangs_does_not_hold_up_the_start(
    monkeypatch: pytest.MonkeyPatch, autojump_clock: trio.testing.MockClock
) -> None:
    async def hang(*_: object, abandon_on_cancel: bool) -> None:
        assert abandon_on_cancel
        await trio.sleep_forever()

    monkeypatch.setattr(trio.to_thread, "run_sync", hang)
    (row,) = await lines_of_clearing_up(BEFORE)
    assert row["level"] == "warning"
    assert "could not be looked through" in row["event"]
    assert row["pid"] == BEFORE.process.pid


async def lines_of_clearing_up(before: Owner | None, state: Path = Path("/nowhere")) -> list[dict[str, Any]]:
    lines = LogLines()
    await clear_up(before, state, make_log(log_format="json", level="info", stream=lines))
    return lines.rows()
