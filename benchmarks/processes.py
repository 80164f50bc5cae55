"""Processes that a benchmark starts, each ended with its context; and llama-cpp-python by itself as one of them."""

import json
import os
import shlex
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import psutil

RUNNER_VARIABLES = {"OMP_WAIT_POLICY": "passive"}
"""What the service sets for its runners that changes speed: whoever is compared with it gets the same."""
FOREIGN = ("ROUNDHOUSE_", "OLLAMA_")
"""How variables begin that would change a service, and are kept from it."""
END_S = 30


def command_line(words: Sequence[str], variables: Mapping[str, str]) -> str:
    """A command as one would type it."""
    return shlex.join([*(f"{name}={value}" for name, value in variables.items()), *words])


@contextmanager
def running(words: Sequence[str], variables: Mapping[str, str], **pipes: Any) -> Iterator[subprocess.Popen[str]]:
    """A process with these variables besides our own, terminated and reaped at the end."""
    ours = {name: value for name, value in os.environ.items() if not name.startswith(FOREIGN)}
    with subprocess.Popen(words, env={**ours, **variables}, text=True, **pipes) as process:
        try:
            yield process
        finally:
            process.terminate()
            try:
                process.wait(END_S)
            except subprocess.TimeoutExpired:
                process.kill()


def resident_mb(pid: int) -> float:
    """What a process has in memory, shared pages included [10^6 bytes]."""
    return float(psutil.Process(pid).memory_info().rss) / 1e6


class Bare:
    """`benchmarks.bare` in a process of its own."""

    WORDS = (sys.executable, str(Path(__file__).with_name("bare.py")))

    def __init__(self, process: subprocess.Popen[str]) -> None:
        self._process = process

    @classmethod
    @contextmanager
    def started(cls) -> Iterator["Bare"]:
        """Running, with the engine imported and nothing loaded."""
        pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE}
        with running(cls.WORDS, RUNNER_VARIABLES, **pipes) as process:
            bare = cls(process)
            bare._answer()
            yield bare

    def load(self, path: Path, *, threads: int, context_tokens: int) -> float:
        """How long it took [ms]."""
        load = {"path": str(path), "threads": threads, "context_tokens": context_tokens}
        return float(self._order({"load": load})["load_ms"])

    def ask(self, prompt: str, answer_tokens: int) -> dict[str, Any]:
        """What `benchmarks.bare.ask` says."""
        return self._order({"ask": {"prompt": prompt, "answer_tokens": answer_tokens}})

    def _order(self, order: dict[str, Any]) -> dict[str, Any]:
        assert self._process.stdin is not None
        self._process.stdin.write(json.dumps(order) + "\n")
        self._process.stdin.flush()
        return self._answer()

    def _answer(self) -> dict[str, Any]:
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        if not line:
            raise RuntimeError("llama-cpp-python ended; is it installed? (pip install 'roundhouse[llama]')")
        answer: dict[str, Any] = json.loads(line)
        return answer
