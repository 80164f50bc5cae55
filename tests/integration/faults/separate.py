"""A service in a process of its own, which may be killed, and whose runners and figures can be looked at from outside.

    with separate(models, tmp_path) as service:
        gate = service.hold("polite")
        with service.ask("polite"):
            gate.arrived()
            gone_s = service.murder()

Clients are plain sockets: they send their question and read when the test does.
"""

import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
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


class Separate:
    """One such service.

    Attributes:
        rows: its log, as far as it was read.
        port: where it listens.
    """

    def __init__(self, process: "subprocess.Popen[str]", gates: Path) -> None:
        self.process = process
        self.rows: list[dict[str, Any]] = []
        self._gates = gates
        self._held: list[PipeGate] = []
        self.address = str(self.until("ready")["address"])
        self.port = int(self.address.rpartition(":")[2])

    # What it says

    def until(self, event: str, **fields: Any) -> dict[str, Any]:
        """Read its log up to a line of this kind."""
        assert self.process.stderr is not None
        for line in self.process.stderr:
            row: dict[str, Any] = json.loads(line)
            self.rows.append(row)
            if row["event"] == event and fields.items() <= row.items():
                return row
        raise AssertionError(f"it ended without saying {event!r}: {self.rows[-3:]}")

    def said(self, event: str) -> list[dict[str, Any]]:
        """What it has said of this kind, in the lines that were read."""
        return [row for row in self.rows if row["event"] == event]

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
            AssertionError: one stays.
        """
        runners = self.children()
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
        for gate in self._held:
            gate.open()


@contextmanager
def separate(
    models: Path, folder: Path, *, port: int = 0, limits: Limits | None = None, program: str = PROGRAM
) -> Iterator[Separate]:
    """A service for as long as the context lasts; killed at its end if it still lives.

    Args:
        folder: for its state and its gates; the same one for another service on the same state folder.
        program: what Python is started with.
    """
    gates = folder / f"gates-{time.monotonic_ns()}"
    gates.mkdir(parents=True)
    settings = [models, folder / "state", port, msgspec.json.encode(limits or fault_limits()).decode(), gates]
    command = [sys.executable, "-c", program, *map(str, settings)]
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True, cwd=CHECKOUT) as process:
        service: Separate | None = None
        try:
            service = Separate(process, gates)
            yield service
        finally:
            process.kill()
            if service is not None:
                service.close()


def freeze(process: psutil.Process) -> None:
    """SIGSTOP a runner of another service; returns when it has stopped."""
    process.suspend()
    while process.status() != psutil.STATUS_STOPPED:
        pass
