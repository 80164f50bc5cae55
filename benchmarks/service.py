"""A real `roundhouse serve` in a process of its own, asked over HTTP."""

import json
import subprocess
import sys
import time
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from threading import Thread
from typing import Any
from urllib.request import urlopen

from benchmarks.connection import HUNG_S, Connection
from benchmarks.processes import resident_mb, running

COMMAND = str(Path(sys.executable).with_name("roundhouse"))
LOOK_S = 0.02
"""Pause between two looks at a service that is to come to rest."""


@dataclass(frozen=True)
class Asked:
    """One answer.

    Attributes:
        first_ms: from sending the request to its first token.
        text: of the first token.
        runner_ms: the runner's share: tokenising and evaluating the prompt.
    """

    first_ms: float
    text: str
    prompt_tokens: int
    runner_ms: float


class Service:
    """A service as a client and its machine see it."""

    def __init__(self, process: subprocess.Popen[str], address: str, connection: Connection) -> None:
        self._pid = process.pid
        self._address = address
        self._connection = connection

    @staticmethod
    def words(models: Path, *, threads: int, context_tokens: int) -> Sequence[str]:
        """Its command line. Models stay loaded until they are told to go."""
        options = {"models": models, "threads": threads, "context-length": context_tokens}
        fixed = {"port": 0, "keep-alive": -1, "log-format": "json"}
        return [COMMAND, "serve", *(f"--{name}={value}" for name, value in {**options, **fixed}.items())]

    @classmethod
    @contextmanager
    def started(cls, words: Sequence[str], home: Path) -> Iterator["Service"]:
        """Ready, with nothing loaded."""
        with running(words, {"ROUNDHOUSE_HOME": str(home)}, stderr=subprocess.PIPE) as process:
            assert process.stderr is not None
            address = read_address(process.stderr)
            with Connection(address) as connection:
                yield cls(process, address, connection)

    def ask(self, model: str, prompt: str, answer_tokens: int) -> Asked:
        """A raw prompt, answered greedily, piece by piece."""
        options = {"temperature": 0, "num_predict": answer_tokens}
        body = {"model": model, "prompt": prompt, "raw": True, "options": options}
        first_ms, answer = self._connection.stream("/api/generate", json.dumps(body).encode(), first=b'"response":')
        first, *_, last = [json.loads(line) for line in answer.splitlines() if line.startswith(b"{")]
        return Asked(first_ms, first["response"], last["prompt_eval_count"], last["prompt_eval_duration"] / 1e6)

    @property
    def resident_mb(self) -> float:
        return resident_mb(self._pid)

    def unload(self, model: str) -> None:
        self._call("/api/generate", {"model": model, "keep_alive": 0})

    def settle(self) -> None:
        """Wait until no runner is left and the spare is warm.

        Raises:
            TimeoutError: that did not come about.
        """
        hung = time.monotonic() + HUNG_S
        while not _is_at_rest(state := self._call("/debug/state")):
            if time.monotonic() > hung:
                raise TimeoutError(f"the service does not come to rest: {state}")
            time.sleep(LOOK_S)

    def _call(self, path: str, body: dict[str, Any] | None = None) -> dict[str, Any]:
        """A request that is not timed, on a connection of its own."""
        raw = None if body is None else json.dumps(body).encode()
        with urlopen(f"{self._address}{path}", raw, timeout=HUNG_S) as answer:
            answered: dict[str, Any] = json.load(answer)
        return answered


def _is_at_rest(state: dict[str, Any]) -> bool:
    return not state["runners"] and state["spare"]["state"] == "warm"


def read_address(lines: Iterable[str]) -> str:
    """Where a service listens, from its log; the rest is read and dropped, so that writing it never waits.

    Raises:
        RuntimeError: it ended before it was ready; its own words say why.
    """
    said = []
    for line in lines:
        said.append(line)
        if line.startswith("{") and (row := json.loads(line))["event"] == "ready":
            Thread(target=lambda: [None for _ in lines], daemon=True).start()
            return str(row["address"])
    raise RuntimeError(f"the service ended before it was ready: {''.join(said)}")
