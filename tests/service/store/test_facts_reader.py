"""Reading a model file in a process: real ones for what really happens, a fake one for what should not."""

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
import trio

from service.environment import EnvironmentClass
from service.logs import make_log
from service.ports import Processes, unheard
from service.processes import RunnerProcesses
from service.store.facts_cache import FileRefused
from service.store.facts_reader import FactsReader
from statemachines.errors import RefusalCode, RequestRefused
from statemachines.units import GIB, NS_PER_MS, NS_PER_S
from statemachines.wire.codec import encode
from statemachines.wire.link import Task
from statemachines.wire.messages import PROTOCOL_VERSION, Hello
from tests.factory.raw import valid
from tests.fakes.processes import FakeProcess, FakeProcesses
from tests.service.shell import LogLines


def reader(lines: LogLines, processes: Processes | None = None, *, limit_ns: int = 60 * NS_PER_S) -> FactsReader:
    log = make_log(log_format="json", level="debug", stream=lines)
    return FactsReader(processes or RunnerProcesses(), log, limit_ns=limit_ns, memory_bytes=1 * GIB)


async def test_a_model_file_is_read_in_a_process(tmp_path: Path) -> None:
    path = tmp_path / "a.gguf"
    path.write_bytes(valid().encode())
    read = reader(LogLines())
    assert (await read((str(path),), False)).metadata["tokenizer.ggml.tokens"] is None
    assert (await read((str(path),), True)).metadata["tokenizer.ggml.tokens"] == ["<unk>", "<s>", "</s>", "a"]


async def test_a_broken_file_is_refused_for_good_and_a_missing_one_for_now(tmp_path: Path) -> None:
    path = tmp_path / "a.gguf"
    path.write_bytes(b"GGUF")
    with pytest.raises(FileRefused, match="ends in the middle"):
        await reader(LogLines())((str(path),), False)
    path.unlink()
    with pytest.raises(RequestRefused) as refused:
        await reader(LogLines())((str(path),), False)
    assert refused.value.code is RefusalCode.NOT_FOUND
    assert not isinstance(refused.value, FileRefused)


async def test_a_reading_that_takes_too_long_is_ended(tmp_path: Path) -> None:
    lines, processes = LogLines(), FakeProcesses()
    with pytest.raises(RequestRefused, match="took too long") as refused:
        await reader(lines, processes, limit_ns=NS_PER_MS)(("/nowhere/secret.gguf",), False)
    assert refused.value.code is RefusalCode.LOAD_FAILED
    assert "nowhere" not in str(refused.value)
    (process,) = processes.all
    assert process._exit is not None
    assert [row["why"] for row in lines.rows("a model file was not read")] == ["reading it took too long"]


async def _meet(process: FakeProcesses, act: Callable[[FakeProcess], None]) -> None:
    act(await process.spawned())


@pytest.mark.parametrize(
    "act",
    [
        lambda process: process.exit(-11),
        lambda process: process.say_bytes(b"nonsense"),
        lambda process: process.say_bytes(encode(Hello(PROTOCOL_VERSION + 1, "old", 1))),
        lambda process: (process.greet(), process.exit(70)),
    ],
    ids=["crashes at once", "talks nonsense", "speaks another version", "greets and crashes"],
)
async def test_a_reader_that_breaks_is_an_error_of_that_question(act: Callable[[FakeProcess], None]) -> None:
    lines, processes = LogLines(), FakeProcesses()
    async with trio.open_nursery() as nursery:
        nursery.start_soon(_meet, processes, act)
        with pytest.raises(RequestRefused, match="failed") as refused:
            await reader(lines, processes)(("/nowhere/secret.gguf",), False)
    assert refused.value.code is RefusalCode.LOAD_FAILED
    assert [row["why"] for row in lines.rows("a model file was not read")] == ["reading it failed"]


async def test_a_process_that_cannot_be_started_is_an_error_of_that_question() -> None:
    lines, processes = LogLines(), FakeProcesses()
    processes.fault = OSError(11, "Resource temporarily unavailable")
    with pytest.raises(RequestRefused, match="failed") as refused:
        await reader(lines, processes)(("/nowhere/secret.gguf",), False)
    assert "unavailable" not in str(refused.value)


async def test_a_path_that_cannot_be_sent_is_an_error_of_that_question() -> None:
    with pytest.raises(RequestRefused, match="failed"):
        await reader(LogLines())(("/nowhere/\udcff.gguf",), False)


async def test_the_process_gets_the_facts_task_and_a_memory_limit() -> None:
    asked: list[EnvironmentClass] = []

    class Watched:
        @asynccontextmanager
        async def spawn(
            self, kind: EnvironmentClass, *, on_line: Callable[[str], None] = unheard
        ) -> AsyncIterator[FakeProcess]:
            asked.append(kind)
            on_line("a line of its own")
            raise OSError
            yield  # a context manager needs one

    lines = LogLines()
    with pytest.raises(RequestRefused):
        await reader(lines, Watched())(("x",), False)
    assert asked == [EnvironmentClass(Task.FACTS, 1 * GIB)]
    assert [row["text"] for row in lines.rows("the reader of model files says")] == ["a line of its own"]
