"""Threads that the system does not give: an answer for whoever needs one, and the end of nothing."""

import os
import threading
from pathlib import Path

import pytest
import trio
import trio.testing

from service.aftermath import clear_up
from service.logs import make_log
from service.processes import RunnerProcesses
from service.store.background import in_background
from service.threads import NoThread, in_thread, thread_needed
from tests.fakes.processes import FACTS
from tests.service.shell import LogLines
from tests.service.store.shelf import Shelf
from tests.service.store.test_models import until_digests_are_known

TOO_MUCH_STACK = 1 << 45
"""No thread with so much can be started: the real refusal, without a limit that root does not have."""


@pytest.fixture
def without_threads(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nobody gets one; trio may have some in stock, so it is asked in its place."""

    def refuse(_: threading.Thread) -> None:
        raise RuntimeError("can't start new thread")

    async def start(*_: object, **__: object) -> None:
        refuse(threading.current_thread())

    monkeypatch.setattr(threading.Thread, "start", refuse)
    monkeypatch.setattr(trio.to_thread, "run_sync", start)


def test_the_real_refusal_is_known() -> None:
    before = threading.stack_size(TOO_MUCH_STACK)
    try:
        with pytest.raises(NoThread), thread_needed():
            threading.Thread(target=os.getpid).start()
    finally:
        threading.stack_size(before)


def test_a_fault_of_the_program_stays_one() -> None:
    with pytest.raises(RuntimeError, match="another"), thread_needed():
        raise RuntimeError("another")


@pytest.mark.usefixtures("without_threads")
async def test_whoever_needs_one_is_told_by_the_system_s_kind_of_error() -> None:
    with pytest.raises(NoThread):
        await in_thread(os.getpid)
    with pytest.raises(NoThread):
        await in_background(lambda _: os.getpid())
    with pytest.raises(NoThread):
        async with RunnerProcesses().spawn(FACTS):
            pass


@pytest.mark.usefixtures("without_threads")
async def test_the_start_goes_on_and_says_that_nobody_looked_for_orphans() -> None:
    lines = LogLines()
    await clear_up(None, Path("/nowhere"), make_log(log_format="json", level="info", stream=lines))
    assert ["could not be looked through" in row["event"] for row in lines.rows()] == [True]


async def test_a_digest_waits_for_a_thread(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "models").mkdir()
    shelf, refused = Shelf(tmp_path), trio.Event()

    def refuse(_: threading.Thread) -> None:
        refused.set()
        raise RuntimeError("can't start new thread")

    shelf.put("a.gguf")
    async with trio.open_nursery() as nursery:
        with monkeypatch.context() as patched:
            patched.setattr(threading.Thread, "start", refuse)
            nursery.start_soon(shelf.store.run)
            shelf.store.models()
            await refused.wait()
            await trio.testing.wait_all_tasks_blocked()
        nursery.cancel_scope.cancel()
    await until_digests_are_known(shelf)
    shelf.close()
