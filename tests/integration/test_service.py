"""The whole service with real processes: how it starts, answers, and ends, and that nothing of it stays.

Without a spare (`test_spare`), so that each process that is found is a runner.
"""

import json
import os
import signal
import socket
import subprocess
import sys
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager, suppress
from dataclasses import dataclass
from functools import partial
from importlib.metadata import version
from pathlib import Path
from typing import Any

import httpx
import msgspec
import psutil
import pytest
import trio

from service import parts
from service.config import Settings
from service.life import Service
from service.listener import AddressTaken, bind
from service.logs import make_log
from service.main import serve
from service.ready import Ready
from statemachines.effects import AnyEffect
from statemachines.events import AnyEvent, LeaseEnded
from statemachines.limits import Limits
from statemachines.scheduler import Scheduler
from statemachines.units import NS_PER_S
from tests.factory.scripted import scripted_model
from tests.integration.faults.models import ENDLESS_ANSWER
from tests.service import front_contract

pytestmark = pytest.mark.engine

HUNG_S = 60
"""Ends a hung test, nothing else."""
ENDLESS_TOKENS = 1 << 17
"""A context in which an endless answer has room for many seconds."""


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A model that answers, and one that never stops."""
    folder = tmp_path_factory.mktemp("models")
    scripted_model(folder / "polite.gguf", "Hello, how are you?")
    scripted_model(folder / "endless.gguf", ENDLESS_ANSWER, context_tokens=ENDLESS_TOKENS)
    return folder


@pytest.fixture
def settings(models: Path, tmp_path: Path) -> Settings:
    limits = Limits(shutdown_drain_ns=NS_PER_S // 10, stop_grace_ns=5 * NS_PER_S)
    return Settings(models=models, state=tmp_path, port=0, strict=True, spare=False, log_level="error", limits=limits)


@dataclass
class Running:
    """A service in this process. ``status`` is its exit status once it has ended."""

    ready: Ready
    stop: trio.Event
    http: httpx.AsyncClient
    status: int | None = None

    async def generate(self, model: str, **fields: Any) -> httpx.Response:
        body = {"model": model, "prompt": "hi", "stream": False, **fields}
        return await self.http.post("/api/generate", json=body)

    def ask(self, model: str) -> socket.socket:
        """A client that asks, and reads nothing until somebody reads for it."""
        return ask(self.ready, model)

    async def runner_pid(self) -> int:
        """Of the one runner there is."""
        (child,) = [process for process in psutil.Process().children() if "runner" in process.cmdline()]
        return int(child.pid)


def ask(ready: Ready, model: str) -> socket.socket:
    """See `Running.ask`; plain sockets, because HTTP clients read ahead and cannot be stopped in the middle."""
    body = json.dumps({"model": model, "prompt": "go"}).encode()
    client = socket.socket()
    client.settimeout(HUNG_S)
    client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    client.connect((ready.host, ready.port))
    client.sendall(b"POST /api/generate HTTP/1.1\r\nHost: localhost\r\nContent-Length: %d\r\n\r\n" % len(body))
    client.sendall(body)
    return client


@asynccontextmanager
async def running(settings: Settings) -> AsyncIterator[Running]:
    """A service that drains when the context ends."""
    stop = trio.Event()
    with trio.fail_after(HUNG_S):
        async with trio.open_nursery() as nursery:
            ready: Ready = await nursery.start(partial(_serve, settings, stop))
            async with httpx.AsyncClient(base_url=ready.address, timeout=HUNG_S) as http:
                service = Running(ready, stop, http)
                _STATUS[stop] = service
                yield service
            stop.set()


_STATUS: dict[trio.Event, Running] = {}


async def _serve(settings: Settings, stop: trio.Event, *, task_status: trio.TaskStatus[Ready]) -> None:
    status = await serve(settings, stop=stop, takes_signals=False, task_status=task_status)
    _STATUS.pop(stop).status = status


async def test_it_answers_over_http_and_leaves_nothing_behind(settings: Settings) -> None:
    async with running(settings) as service:
        assert service.ready.models == 2
        assert service.ready.engine.startswith("llama-cpp-python ")
        reply = await service.generate("polite")
        assert reply.json()["response"] == "Hello, how are you?"

    assert service.status == 0


async def test_the_real_front_keeps_what_handlers_rely_on(settings: Settings) -> None:
    config = msgspec.structs.replace(settings, demo=True)
    service = Service(config, make_log(log_format="json", level="error"))
    stop = trio.Event()
    async with trio.open_nursery() as nursery:
        run = partial(service.run, on_ready=None, stop=stop, takes_signals=False)
        await nursery.start(run)
        await front_contract.check(service.parts.desk)
        stop.set()


async def test_a_load_only_request_leaves_an_idle_runner(settings: Settings) -> None:
    async with running(settings) as service:
        await service.generate("polite", prompt="")
        (listed,) = (await service.http.get("/api/ps")).json()["models"]
        assert listed["name"] == "polite:latest"


async def test_a_client_that_leaves_frees_the_slot_for_the_next_one(settings: Settings) -> None:
    async with running(settings) as service:
        with service.ask("endless") as client:
            await trio.lowlevel.wait_readable(client)
        answered = await service.generate("endless", options={"num_predict": 3})
        assert answered.json()["done_reason"] == "length"


async def test_cancelling_it_kills_its_runners_in_the_middle_of_an_answer(settings: Settings) -> None:
    with trio.fail_after(HUNG_S):
        async with trio.open_nursery() as nursery:
            ready: Ready = await nursery.start(partial(serve, settings, takes_signals=False))
            with ask(ready, "endless") as client:
                await trio.lowlevel.wait_readable(client)
                nursery.cancel_scope.cancel()

    assert [child for child in psutil.Process().children() if "runner" in child.cmdline()] == []


async def test_a_client_that_stays_and_never_reads_does_not_hold_up_the_end(settings: Settings) -> None:
    async with running(settings) as service:
        with service.ask("endless"):
            await _until(lambda: _is_stuck(service.ready.port))
            service.stop.set()
            await _until(lambda: service.status is not None)

    assert service.status == 0


async def _until(holds: Any) -> None:
    while not holds():
        await trio.lowlevel.checkpoint()


def _is_stuck(port: int) -> bool:
    """Whether the kernel holds bytes for a client that takes none."""
    rows = Path("/proc/net/tcp").read_text().splitlines()[1:]
    local = [row.split() for row in rows if int(row.split()[1].split(":")[1], 16) == port]
    return any(int(columns[4].split(":")[0], 16) > 10_000 for columns in local)


async def test_a_runner_that_is_killed_is_replaced_for_the_next_request(settings: Settings) -> None:
    async with running(settings) as service:
        await service.generate("polite")
        os.kill(await service.runner_pid(), signal.SIGKILL)
        reply = await service.generate("polite")
        assert reply.json()["response"] == "Hello, how are you?"


async def test_told_to_stop_before_it_is_open_it_stops(settings: Settings) -> None:
    stop = trio.Event()
    stop.set()
    with trio.fail_after(HUNG_S):
        assert await serve(settings, stop=stop, takes_signals=False) == 0


async def test_a_taken_port_is_an_error_before_anything_starts(settings: Settings) -> None:
    with bind(settings) as listener:
        taken = Settings(models=settings.models, state=settings.state, port=listener.getsockname()[1])
        with pytest.raises(AddressTaken):
            await serve(taken, takes_signals=False)


class Broken(Scheduler):
    """A core that breaks when the first answer has ended."""

    def handle(self, event: AnyEvent) -> tuple[AnyEffect, ...]:  # type: ignore[override]  # events are what it takes
        if isinstance(event, LeaseEnded):
            raise AssertionError("a planted bug")
        return super().handle(event)


async def test_a_broken_core_ends_the_service_with_70_its_journal_and_no_runner(
    settings: Settings, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(parts, "Scheduler", Broken)
    async with running(settings) as service:
        with suppress(httpx.HTTPError):  # unless the answer was on its way already
            await service.generate("polite")
        await _until(lambda: service.status is not None)

    assert service.status == 70
    (dump,) = (settings.state / "journals").iterdir()
    assert "a planted bug" in dump.read_text().splitlines()[0]
    assert "a planted bug" in capsys.readouterr().err


# As a process of its own: signals and exit statuses

PROGRAM = """
import sys
from pathlib import Path
import msgspec
from service.config import Settings
from service.main import run
from statemachines.limits import Limits
settings = Settings(models=Path(sys.argv[1]), state=Path(sys.argv[2]), port=0, strict=True, spare=False,
                    log_format="json", limits=msgspec.json.decode(sys.argv[3], type=Limits))
sys.exit(run(settings))
"""

PATIENT = Limits(shutdown_drain_ns=HUNG_S * NS_PER_S)


class Process:
    """The service as a process."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        self.process = process
        self.ready = self.until("ready")
        self.address = str(self.ready["address"])

    def until(self, event: str) -> dict[str, Any]:
        """Its log up to a line of this kind."""
        assert self.process.stderr is not None
        for line in self.process.stderr:
            row: dict[str, Any] = json.loads(line)
            if row["event"] == event:
                return row
        raise AssertionError(f"it ended without saying {event!r}")

    def signal(self, number: int) -> None:
        self.process.send_signal(number)


@contextmanager
def process(models: Path, state: Path, limits: Limits = PATIENT) -> Iterator[Process]:
    command = [sys.executable, "-c", PROGRAM, str(models), str(state), msgspec.json.encode(limits).decode()]
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True) as child:
        try:
            yield Process(child)
        finally:
            child.kill()


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_ends_it_with_status_0(models: Path, tmp_path: Path, number: int) -> None:
    with process(models, tmp_path) as service:
        httpx.post(f"{service.address}/api/generate", json={"model": "polite", "prompt": "hi"}, timeout=HUNG_S)
        service.signal(number)

        assert service.until("stopped")["level"] == "info"
        assert service.process.wait(HUNG_S) == 0


def test_a_second_signal_kills_the_runners_and_ends_it_with_status_130(models: Path, tmp_path: Path) -> None:
    body = {"model": "endless", "prompt": "go"}
    with (
        process(models, tmp_path) as service,
        httpx.stream("POST", f"{service.address}/api/generate", json=body, timeout=HUNG_S) as reply,
    ):
        next(reply.iter_lines())
        (runner,) = psutil.Process(service.process.pid).children()
        runner.suspend()  # so that it can neither answer to its end nor leave by itself
        service.signal(signal.SIGINT)
        service.until("stopping")
        service.signal(signal.SIGINT)
        service.until("stopping at once")
        assert service.until("runner ended")["exit"] == -signal.SIGKILL
        assert service.process.wait(HUNG_S) == 130


@pytest.mark.parametrize("is_wedged", [False, True])
def test_an_answer_that_outlasts_the_drain_limit_ends_with_an_error_line(
    models: Path, tmp_path: Path, is_wedged: bool
) -> None:
    limits = Limits(shutdown_drain_ns=NS_PER_S if is_wedged else 0, stop_grace_ns=NS_PER_S)
    body = {"model": "endless", "prompt": "go", "options": {"num_ctx": ENDLESS_TOKENS}}
    with (
        process(models, tmp_path, limits) as service,
        httpx.stream("POST", f"{service.address}/api/generate", json=body, timeout=HUNG_S) as reply,
    ):
        lines = reply.iter_lines()
        last = json.loads(next(lines))
        (runner,) = psutil.Process(service.process.pid).children()
        if is_wedged:
            runner.suspend()  # so that only SIGKILL ends it, long after the drain limit
        service.signal(signal.SIGTERM)
        for line in lines:  # to the end of a whole reply: a connection that is cut raises
            last = json.loads(line)
        assert last.keys() == {"error"}
        assert "shutting down" in last["error"]
        assert service.process.wait(HUNG_S) == 0


def test_the_ready_line_says_what_an_operator_wants_to_know(models: Path, tmp_path: Path) -> None:
    with process(models, tmp_path) as service:
        ready = service.ready
        address = httpx.URL(ready["address"])
        assert (address.scheme, address.host) == ("http", "127.0.0.1")
        assert httpx.get(address.join("/api/version"), timeout=HUNG_S).status_code == 200
        assert ready["models"] == 2
        assert ready["engine"] == f"llama-cpp-python {version('llama-cpp-python')}"
        assert ready["threads"] == Limits().cpu_threads
        assert ready["version"] == version("roundhouse")
        service.signal(signal.SIGTERM)
        assert service.process.wait(HUNG_S) == 0


def test_a_closed_standard_error_does_not_end_the_service(models: Path, tmp_path: Path) -> None:
    with process(models, tmp_path) as service:
        assert service.process.stderr is not None
        service.process.stderr.close()
        body = {"model": "polite", "prompt": "hi", "stream": False}
        reply = httpx.post(f"{service.address}/api/generate", json=body, timeout=HUNG_S)
        assert reply.json()["response"] == "Hello, how are you?"
        service.signal(signal.SIGTERM)
        assert service.process.wait(HUNG_S) == 0
