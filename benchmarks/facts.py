"""How long reading a model file's header takes, and how long a repeated question does.

Run: ``python -m benchmarks.facts``. Needs the package ``gguf``. Prints medians with their spread; what must be met
stands beside them. A row during which the host took more than 1 % of the time away is marked and worth repeating.
"""

import statistics
import sys
import time
from collections.abc import Awaitable, Callable
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import structlog
import trio
from gguf import GGUFWriter

from benchmarks import steal
from runner.facts.reader import read_facts
from service.clock import SystemClock
from service.config import Settings
from service.processes import RunnerProcesses
from service.state.folder import StateFolder
from service.store.facts_reader import FactsReader
from service.store.models import ModelStore

TOKENS, MERGES = 150_000, 280_000
ROUNDS = 15


def write_vocabulary(path: Path) -> None:
    """A model of no size with a large vocabulary."""
    writer = GGUFWriter(path, "llama")
    writer.add_block_count(1)
    writer.add_context_length(4096)
    writer.add_embedding_length(64)
    writer.add_feed_forward_length(128)
    writer.add_head_count(4)
    writer.add_token_list([f"token{number}" for number in range(TOKENS)])
    writer.add_token_types([1] * TOKENS)
    writer.add_token_merges([f"left{number} right{number}" for number in range(MERGES)])
    writer.add_tensor("token_embd.weight", np.zeros((32, 64), np.float32))
    writer.add_tensor("blk.0.attn_k.weight", np.zeros((64, 64), np.float32))
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


async def row(name: str, must_ms: float, act: Callable[[], Awaitable[object]]) -> None:
    """Measure and print one line."""
    await act()
    begun = steal.read()
    times_ms = []
    for _ in range(ROUNDS):
        before = time.perf_counter()
        await act()
        times_ms.append((time.perf_counter() - before) * 1000)
    share = steal.share(begun, steal.read())
    median = statistics.median(times_ms)
    marks = [
        f"must be <= {must_ms:g} ms",
        *(["MISSED"] if median > must_ms else []),
        *(["steal"] if share > steal.SHARE_MAX else []),
    ]
    print(f"{name:52} {median:9.3f} ms  ({min(times_ms):.3f} to {max(times_ms):.3f})  {', '.join(marks)}")


async def main() -> None:
    with TemporaryDirectory() as folder:
        path = Path(folder) / "vocabulary.gguf"
        write_vocabulary(path)
        log = structlog.get_logger()
        settings = Settings(models=Path(folder), state=Path(folder) / "state")
        reader = FactsReader(
            RunnerProcesses(), log, limit_ns=settings.facts_limit_ns, memory_bytes=settings.facts_memory_bytes
        )
        store = ModelStore(
            settings,
            state=StateFolder(settings.state, log),
            read=reader,
            is_key_alive=lambda _: False,
            on_replaced=lambda _: None,
            clock=SystemClock(),
            log=log,
        )
        model = store.find("vocabulary")

        async def read() -> object:
            return read_facts([str(path)])

        async def find() -> object:
            return store.find("vocabulary")

        print(f"{TOKENS} tokens, {MERGES} merges, {path.stat().st_size >> 20} MiB; Python {sys.version.split()[0]}")
        await row("header read, in this process", 150, read)
        await row("header read, in a process of its own", 1000, lambda: reader(model.paths, False))
        await row("facts from the cache", 1, lambda: store.facts(model))
        await row("a look at the folder", 1, find)


if __name__ == "__main__":
    trio.run(main)
