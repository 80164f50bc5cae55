"""A disk that takes nothing more, and a log that nobody reads: the service goes on, and says so without end nowhere."""

import fcntl
import io
import json
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
import msgspec
import pytest
import trio

from service.config import Settings
from service.journal import read_dump
from tests.integration.faults.harness import HUNG_S, POLITE, Faulted, faulted
from tests.integration.faults.separate import CHECKOUT
from tests.integration.faults.small_disk import SmallDisk, small_disk

COMPLAINT = "the state folder takes nothing"
LOST = "log lines were lost: nobody read them, or the disk was full"


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[SmallDisk]:
    with small_disk(tmp_path / "disk") as made:
        yield made


@pytest.fixture
def settings(settings: Settings, tmp_path: Path, disk: SmallDisk) -> Settings:
    """The state on the small disk, and a models folder of its own."""
    folder = tmp_path / "models"
    folder.mkdir()
    shutil.copy(settings.models / "polite.gguf", folder)
    return msgspec.structs.replace(settings, models=folder, state=disk.folder / "state")


async def digest_of_a_new_model(service: Faulted, folder: Path, name: str) -> None:
    """Put one more model there, and wait until its digest was to be written down."""
    shutil.copy(folder / "polite.gguf", folder / f"{name}.gguf")
    await service.http.get("/api/tags")
    while not service.rows("digest known", file=f"{name}.gguf"):
        await trio.lowlevel.checkpoint()


async def until(holds: Callable[[], Any]) -> None:
    while not holds():
        await trio.lowlevel.checkpoint()


async def test_a_full_disk_costs_caches_and_is_complained_of_once(settings: Settings, disk: SmallDisk) -> None:
    async with faulted(settings) as service:
        disk.fill()
        for name in ("one", "two", "three"):
            await digest_of_a_new_model(service, settings.models, name)
        await until(lambda: service.rows(COMPLAINT))
        assert (await service.generate("three")).json()["response"] == POLITE
        (row,) = service.rows(COMPLAINT)
        assert row["level"] == "warning"
        disk.free()
        await digest_of_a_new_model(service, settings.models, "four")
        await until(lambda: len(written_digests(settings.state)) == 5)
        assert len(service.rows(COMPLAINT)) == 1


def written_digests(state: Path) -> list[Any]:
    file = state / "digests.json"
    rows: list[Any] = json.loads(file.read_bytes())["rows"] if file.exists() else []
    return rows


async def test_a_journal_that_no_disk_takes_goes_to_standard_error(
    settings: Settings, disk: SmallDisk, capsys: pytest.CaptureFixture[str]
) -> None:
    async with faulted(settings) as service:
        await service.generate("polite")
        disk.fill()
        service.journal.dump("the disk is full")
        header, *steps = capsys.readouterr().err.splitlines()
        assert json.loads(header)["why"] == "the disk is full"
        assert 0 < len(steps) <= 50
        assert (await service.generate("polite")).json()["response"] == POLITE
        disk.free()
        service.journal.dump("the disk is free")
        reasons = [read_dump(path)[0].why for path in (settings.state / "journals").iterdir() if path.stat().st_size]
        assert "the disk is free" in reasons


# Standard error: processes of their own

PROGRAM = """
import sys
from pathlib import Path
from service.config import Settings
from service.main import run
settings = Settings(models=Path(sys.argv[1]), state=Path(sys.argv[2]), port=0, strict=True, log_format="json",
                    log_level="debug")
sys.exit(run(settings, on_ready=lambda ready: print(ready.address, flush=True)))
"""


@contextmanager
def logging_to(stderr: Any, models: Path, state: Path) -> Iterator[tuple[subprocess.Popen[str], str]]:
    """A service that says on standard output where it is."""
    command = [sys.executable, "-c", PROGRAM, str(models), str(state)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=stderr, text=True, cwd=CHECKOUT) as process:
        try:
            assert process.stdout is not None
            yield process, process.stdout.readline().strip()
        finally:
            process.kill()


def check_it_answers_and_ends(process: "subprocess.Popen[str]", address: str) -> None:
    body = {"model": "polite", "prompt": "hi", "stream": False}
    assert httpx.post(f"{address}/api/generate", json=body, timeout=HUNG_S).json()["response"] == POLITE
    process.send_signal(signal.SIGTERM)
    assert process.wait(HUNG_S) == 0


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="a device that is always full is Linux's")
def test_a_log_on_a_full_disk_costs_its_lines(models: Path, tmp_path: Path) -> None:
    with open("/dev/full", "w") as full, logging_to(full, models, tmp_path) as (process, address):
        check_it_answers_and_ends(process, address)


def test_a_log_on_a_disk_that_was_full_goes_on_and_says_what_was_lost(
    models: Path, tmp_path: Path, disk: SmallDisk
) -> None:
    path = disk.folder / "log"
    with path.open("ab") as log, logging_to(log, models, tmp_path / "state") as (process, address):
        with httpx.Client(base_url=address, timeout=HUNG_S) as http:
            disk.fill()
            for _ in range(200):  # a line each, some 200 bytes long; the file's last page still takes a few
                assert http.get("/api/version").status_code == 200
            disk.free()
            for _ in range(3):
                http.get("/api/version")
        check_it_answers_and_ends(process, address)
    rows = [json.loads(line) for line in path.read_text().splitlines() if line.endswith("}")]
    events = [row["event"] for row in rows]
    gap = rows[events.index(LOST)]
    assert gap["level"] == "warning"
    assert gap["lines"] > 100
    assert "answering" in events[events.index(LOST) :]
    assert events[-1] == "stopped"


@contextmanager
def small_pipe() -> Iterator[tuple[io.BufferedReader, int]]:
    """A pipe that is full after some lines, and its end for writing."""
    reader, writer = os.pipe()
    if hasattr(fcntl, "F_SETPIPE_SZ"):
        fcntl.fcntl(writer, fcntl.F_SETPIPE_SZ, 4 * 4096)
    with open(reader, "rb") as file:
        try:
            yield file, writer
        finally:
            os.close(writer)


def test_a_log_that_nobody_reads_holds_nobody_up_and_says_later_what_was_lost(models: Path, tmp_path: Path) -> None:
    with small_pipe() as (reader, writer), logging_to(writer, models, tmp_path) as (process, address):
        with httpx.Client(base_url=address, timeout=HUNG_S) as http:
            for _ in range(1000):  # a line each, some 200 bytes long
                assert http.get("/api/version").status_code == 200
            read_what_is_there(reader)
            http.get("/api/version")
            row = next_row(reader)
            assert (row["event"], row["level"]) == (LOST, "warning")
            assert row["lines"] > 100
            while next_row(reader)["event"] != "answering":
                pass  # that line has come through
        check_it_answers_and_ends(process, address)


def read_what_is_there(reader: io.BufferedReader) -> None:
    os.set_blocking(reader.fileno(), False)
    while reader.read1():
        pass
    os.set_blocking(reader.fileno(), True)


def next_row(reader: io.BufferedReader) -> dict[str, Any]:
    """The next whole line; one that was torn by the loss is passed over."""
    while not (line := reader.readline().strip()).startswith(b"{"):
        pass
    row: dict[str, Any] = json.loads(line)
    return row
