"""llama.cpp's own server, from the start of its process to its first token: what a cold start costs elsewhere."""

import json
import socket
import subprocess
import time
from collections.abc import Sequence
from pathlib import Path
from urllib.error import HTTPError, URLError
from urllib.request import urlopen

from benchmarks.connection import HUNG_S, Connection
from benchmarks.processes import RUNNER_VARIABLES, running

LOOK_S = 0.002


def words(program: Path, model: Path, *, threads: int, context_tokens: int, port: int) -> Sequence[str]:
    """Its command line: the threads, context and kind of attention of the others, one slot."""
    options = {"-m": model, "-t": threads, "-c": context_tokens, "--port": port, "-np": 1, "-fa": "off"}
    return [str(program), "--host", "127.0.0.1", *(str(word) for pair in options.items() for word in pair)]


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as sock:
        return int(sock.getsockname()[1])


def start_to_first_ms(command: Sequence[str], port: int, prompt: str, answer_tokens: int) -> float:
    """From starting the process to the first token of its first answer."""
    address = f"http://127.0.0.1:{port}"
    body = {"prompt": prompt, "n_predict": answer_tokens, "temperature": 0, "stream": True, "cache_prompt": False}
    silent = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
    begun = time.perf_counter()
    with running(command, RUNNER_VARIABLES, **silent) as process:
        _wait(process, f"{address}/health")
        with Connection(address) as connection:
            asked = time.perf_counter()
            first_ms, _ = connection.stream("/completion", json.dumps(body).encode(), first=b'"content":')
    return (asked - begun) * 1000 + first_ms


def _wait(process: subprocess.Popen[str], url: str) -> None:
    """Until it says that it is well.

    Raises:
        RuntimeError: it ended instead.
    """
    while process.poll() is None:
        try:
            with urlopen(url, timeout=HUNG_S):
                return
        except (HTTPError, URLError, ConnectionError):
            time.sleep(LOOK_S)
    raise RuntimeError(f"llama-server ended with {process.returncode}")
