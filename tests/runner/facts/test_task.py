"""Task ``facts``: questions in, answers out, until the service says stop."""

import subprocess
import sys
from collections import deque
from pathlib import Path

import pytest

from runner.facts import task
from statemachines.errors import RefusalCode
from statemachines.wire.exits import ExitStatus
from statemachines.wire.messages import (
    FactsRead,
    FactsRefused,
    ReadFacts,
    SetThreads,
    Shutdown,
    ToRunner,
    ToService,
)
from tests.factory.raw import valid
from tests.runner.facts.files import unpacked, write


def converse(*questions: ToRunner) -> tuple[int, list[ToService]]:
    inbox, said = deque(questions), list[ToService]()
    status = task.run(inbox.popleft, lambda: None, said.append)
    assert not inbox
    return status, said


def test_a_model_is_read_and_a_broken_file_refused_one_after_the_other(tmp_path: Path) -> None:
    good, bad = write(tmp_path, valid()), write(tmp_path, b"GGUF", "bad.gguf")
    status, said = converse(ReadFacts((good,)), ReadFacts((bad,)), ReadFacts((good,), with_arrays=True), Shutdown())
    assert status == ExitStatus.DONE
    read, refused, verbose = said
    assert isinstance(read, FactsRead)
    assert read.facts.metadata["tokenizer.ggml.tokens"] is None
    assert isinstance(refused, FactsRefused)
    assert refused.refusal.code is RefusalCode.INVALID
    assert isinstance(verbose, FactsRead)
    assert unpacked(verbose.facts).metadata["tokenizer.ggml.tokens"] == ["<unk>", "<s>", "</s>", "a"]


def test_a_message_of_another_task_ends_it() -> None:
    assert converse(SetThreads(1)) == (ExitStatus.PROTOCOL, [])


def test_running_out_of_memory_is_the_files_fault(monkeypatch: pytest.MonkeyPatch) -> None:
    def hoard(*_: object, **__: object) -> None:
        raise MemoryError

    monkeypatch.setattr(task, "read_facts", hoard)
    _, (refused,) = converse(ReadFacts(("x",)), Shutdown())
    assert isinstance(refused, FactsRefused)
    assert "memory" in refused.refusal.message


def test_the_task_imports_neither_numpy_nor_the_engine() -> None:
    script = "import sys, runner.facts.task; sys.exit(bool({'numpy', 'llama_cpp', 'jinja2'} & set(sys.modules)))"
    assert subprocess.run([sys.executable, "-P", "-c", script], check=False).returncode == 0
