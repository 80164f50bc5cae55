"""A service in a process of its own, which may be killed, and whose runners and figures can be looked at from outside.

    with separate(models, tmp_path) as service:
        gate = service.hold("polite")
        with service.ask("polite"):
            gate.arrived()
            gone_s = service.murder()

Clients are plain sockets: they send their question and read when the test does.
"""

import itertools
import json
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

import httpx
import msgspec
import psutil

from statemachines.limits import Limits
from tests.integration.faults.harness import limits as fault_limits

PROGRAM = "from tests.integration.faults.gated_service import main; import sys; sys.exit(main(*sys.argv[1:]))"
CHECKOUT = Path(__file__).parents[3]
HUNG_S = 60
"""Ends a hung test, nothing else."""


class PipeGate:
    """A named pipe at which a load is held; see `runner.llama.gate`."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._write_end: int | None = None
        os.mkfifo(path)

    def arrived(self) -> None:
        """Return when the load stands at the gate."""
        self._write_end = os.open(self._path, os.O_WRONLY)

    def open(self) -> None:
        """Let it go on; without effect when nobody has arrived."""
        if self._write_end is not None:
            os.close(self._write_end)
            self._write_end = None


class Log:
    """What a service says, read in a thread of its own, so that it never waits for a reader."""

    def __init__(self, process: "subprocess.Popen[str]") -> None:
        self._process = process
        self._rows: list[dict[str, Any]] = []
        self._passed = 0
        self._has_ended = False
        self._news = threading.Condition()
        self._reading = threading.Thread(target=self._read, daemon=True)
        self._reading.start()

    def _read(self) -> None:
        assert self._process.stderr is not None
        for line in self._process.stderr:
            with self._news:
                self._rows.append(json.loads(line))
                self._news.notify_all()
        with self._news:
            self._has_ended = True
            self._news.notify_all()

    def until(self, holds: Callable[[dict[str, Any]], bool]) -> dict[str, Any]:
        """The next such line; a line is passed once."""
        index = self._first(holds, self._passed)
        self._passed = index + 1
        return self._rows[index]

    def find(self, holds: Callable[[dict[str, Any]], bool]) -> dict[str, Any]:
        """The first such line of all."""
        return self._rows[self._first(holds, 0)]

    def passed(self) -> list[dict[str, Any]]:
        return self._rows[: self._passed]

    def _first(self, holds: Callable[[dict[str, Any]], bool], since: int) -> int:
        with self._news:
            for index in itertools.count(since):
                self._news.wait_for(partial(self._knows, index), HUNG_S)
                assert index < len(self._rows), f"it has not said it; the last it said: {self._rows[-3:]}"
                if holds(self._rows[index]):
                    return index
        raise AssertionError("unreachable: the count is endless")

    def _knows(self, index: int) -> bool:
        return self._has_ended or len(self._rows) > index

    def close(self) -> None:
        """Once the process has ended."""
        self._reading.join()


class Separate:
    """One such service.

    Attributes:
        port: where it listens.
        import_gate: where its runners are held while they import the engine.
    """

    def __init__(self, process: "subprocess.Popen[str]", gates: Path, import_gate: PipeGate | None = None) -> None:
        self.process = process
        self.import_gate = import_gate
        self._gates = gates
        self._held = [import_gate] if import_gate else []
        self._log = Log(process)
        self.address = str(self.until("ready")["address"])
        self.port = int(self.address.rpartition(":")[2])

    # What it says

    def until(self, event: str, **fields: Any) -> dict[str, Any]:
        """The next line of this kind behind those that were waited for, waiting for it."""
        return self._log.until(lambda row: row["event"] == event and fields.items() <= row.items())

    @property
    def rows(self) -> list[dict[str, Any]]:
        """Its log up to the line that was waited for last."""
        return self._log.passed()

    def said(self, event: str) -> list[dict[str, Any]]:
        """What it has said of this kind, up to the line that was waited for last."""
        return [row for row in self.rows if row["event"] == event]

    def pid(self, runner: int) -> int:
        """The process of a runner."""
        row = self._log.find(lambda row: row["event"] == "runner started" and row["runner"] == runner)
        return int(row["pid"])

    def state(self) -> dict[str, Any]:
        state: dict[str, Any] = httpx.get(f"{self.address}/debug/state", timeout=HUNG_S).json()
        return state

    def until_state(self, holds: Callable[[dict[str, Any]], Any]) -> Any:
        """Wait until something holds of its state; what ``holds`` returned then."""
        while not (found := holds(self.state())):
            assert self.process.poll() is None
        return found

    # Clients and gates

    def ask(self, model: str, prompt: str = "hi", **fields: Any) -> socket.socket:
        """A client that has asked; close it."""
        body = json.dumps({"model": model, "prompt": prompt, **fields}).encode()
        client = socket.create_connection(("127.0.0.1", self.port), timeout=HUNG_S)
        client.sendall(b"POST /api/generate HTTP/1.1\r\nHost: localhost\r\nContent-Length: %d\r\n\r\n" % len(body))
        client.sendall(body)
        return client

    def generate(self, model: str, prompt: str = "hi", **fields: Any) -> httpx.Response:
        """A client that waits for the whole answer."""
        body = {"model": model, "prompt": prompt, "stream": False, **fields}
        return httpx.post(f"{self.address}/api/generate", json=body, timeout=HUNG_S)

    def hold(self, model: str) -> PipeGate:
        """The first load of this model will stop at this gate."""
        gate = PipeGate(self._gates / f"{model}:latest")
        self._held.append(gate)
        return gate

    # Processes

    def children(self) -> list[psutil.Process]:
        """Its runners, whatever they were started for."""
        return list(psutil.Process(self.process.pid).children(recursive=True))

    def murder(self) -> float:
        """SIGKILL it; seconds until the last of its runners was gone.

        Raises:
            AssertionError: one stays, or there was none, so that nothing would be shown.
        """
        runners = self.children()
        assert runners, "it has no runner that could outlive it"
        since = time.monotonic()
        self.kill()
        _, alive = psutil.wait_procs(runners, timeout=HUNG_S)
        assert alive == []
        return time.monotonic() - since

    def kill(self) -> None:
        """SIGKILL it, whatever becomes of its runners."""
        self.process.kill()
        self.process.wait(HUNG_S)

    def end(self) -> int:
        """SIGTERM it; its exit status."""
        self.process.send_signal(signal.SIGTERM)
        return self.process.wait(HUNG_S)

    def close(self) -> None:
        self.process.kill()
        self._log.close()
        for gate in self._held:
            gate.open()


@contextmanager
def separate(
    models: Path,
    folder: Path,
    *,
    limits: Limits | None = None,
    program: str = PROGRAM,
    holds_imports: bool = False,
    environment: Mapping[str, str] | None = None,
    **further: Any,
) -> Iterator[Separate]:
    """A service for as long as the context lasts; killed at its end if it still lives.

    Args:
        folder: for its state and its gates; the same one for another service on the same state folder.
        program: what Python is started with.
        holds_imports: its runners stop in the middle of importing the engine; none gets any further.
        environment: variables that it gets besides those of the tests.
        further: settings that JSON can say; unless they say otherwise it takes a free port and keeps no spare.
    """
    gates = folder / f"gates-{time.monotonic_ns()}"
    gates.mkdir(parents=True)
    limits_json = msgspec.json.encode(limits or fault_limits()).decode()
    arguments = [models, folder / "state", gates, limits_json, json.dumps({"port": 0, "spare": False, **further})]
    command = [sys.executable, "-c", program, *map(str, arguments)]
    gate, python_path = _held_import(gates) if holds_imports else (None, {})
    variables = {**os.environ, **(environment or {}), **python_path}
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True, cwd=CHECKOUT, env=variables) as process:
        service: Separate | None = None
        try:
            service = Separate(process, gates, gate)
            yield service
        finally:
            process.kill()
            if service is not None:
                service.close()


def _held_import(folder: Path) -> tuple[PipeGate, dict[str, str]]:
    """A package in the engine's place that does nothing but wait, and the search path on which it is found first."""
    gate_path, package = folder / "import-gate", folder / "instead" / "llama_cpp"
    package.mkdir(parents=True)
    (package / "__init__.py").touch()
    (package / "llama_cpp.py").write_text(f"open({str(gate_path)!r}).read()\nraise ImportError('held for a test')\n")
    search_path = os.pathsep.join(filter(None, (str(package.parent), os.environ.get("PYTHONPATH"))))
    return PipeGate(gate_path), {"PYTHONPATH": search_path}


def freeze(process: psutil.Process) -> None:
    """SIGSTOP a runner of another service; returns when it has stopped."""
    process.suspend()
    while process.status() != psutil.STATUS_STOPPED:
        pass
