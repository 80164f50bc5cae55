"""Loads that succeed, fail, wait and crash."""

import os
import signal
from dataclasses import replace
from pathlib import Path

import msgspec
import psutil
import pytest
from gguf import GGMLQuantizationType, GGUFWriter

from statemachines.errors import RemoteWireError
from statemachines.facts import LoadFailure, LoadKind
from statemachines.units import GIB
from statemachines.wire.exits import ExitStatus
from statemachines.wire.messages import LeaseEnded, Load, LoadFailed, Progress, Ready, Shutdown, ToRunner, ToService
from tests.factory.broken import crash_model, giant_model, truncated
from tests.factory.model_file import Shape
from tests.factory.random_model import random_model
from tests.factory.scripted import scripted_model
from tests.factory.vocabulary import spm
from tests.integration.engine_process import runner_process
from tests.integration.engine_runs import chat, drive, generate, load_of, ready_of, text_of

pytestmark = pytest.mark.engine


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return random_model(tmp_path_factory.mktemp("load") / "model.gguf", weights=GGMLQuantizationType.Q4_0)


def failure_of(load: Load) -> LoadFailed:
    failure = drive(load)[-1]
    assert isinstance(failure, LoadFailed), failure
    assert "/" not in failure.message
    return failure


def test_ready_says_what_was_loaded(model: Path) -> None:
    ready = ready_of(drive(load_of(model, context_tokens=100)))
    assert (ready.loaded.context_tokens, ready.loaded.slots, ready.loaded.gpu_layers) == (100, 1, 0)
    assert ready.chunk_tokens == 64
    assert ready.load_ns > 0


def test_progress_goes_from_nothing_to_all(model: Path) -> None:
    done = [message.done_ppm for message in drive(load_of(model)) if isinstance(message, Progress)]
    assert done[0] < 1_000_000
    assert done[-1] == 1_000_000
    assert done == sorted(done)


def test_all_parts_of_a_split_model_are_loaded(tmp_path: Path) -> None:
    whole = random_model(tmp_path / "whole.gguf")
    random_model(tmp_path / "split.gguf", tensors_per_part=5)
    parts = sorted(tmp_path.glob("split-*"))
    assert len(parts) > 2
    load = load_of(*parts)
    request = generate("hello", num_predict=8)
    assert text_of(drive(load, [request])) == text_of(drive(load_of(whole), [request]))


def test_a_file_that_was_replaced_before_the_load_is_not_loaded(model: Path, tmp_path: Path) -> None:
    load = load_of(model)
    other = random_model(tmp_path / "other.gguf")
    stale = msgspec.structs.replace(load, paths=(str(other),))
    assert failure_of(stale).kind is LoadFailure.REPLACED


def test_a_later_part_that_was_replaced_is_not_loaded(tmp_path: Path) -> None:
    random_model(tmp_path / "split.gguf", tensors_per_part=5)
    parts = sorted(tmp_path.glob("split-*"))
    load = load_of(*parts)
    os.utime(parts[1], ns=(1, 1))
    assert failure_of(load).kind is LoadFailure.REPLACED


def test_a_file_that_is_gone_is_not_loaded(tmp_path: Path) -> None:
    path = random_model(tmp_path / "model.gguf")
    load = load_of(path)
    path.unlink()
    assert failure_of(load).kind is LoadFailure.REPLACED


def test_a_file_that_is_replaced_during_the_load_is_not_served(tmp_path: Path) -> None:
    path = random_model(tmp_path / "model.gguf")
    load = load_of(path)

    def swap(_sent: list[ToService]) -> ToRunner | None:
        if (tmp_path / "new.gguf").exists():
            (tmp_path / "new.gguf").replace(path)
        return None

    random_model(tmp_path / "new.gguf", seed=1)
    failure = drive(load, interrupt=swap)[-1]
    assert isinstance(failure, LoadFailed)
    assert failure.kind is LoadFailure.REPLACED


@pytest.mark.parametrize(
    ("options", "word"),
    [
        ({"slots": 2}, "slots"),
        ({"kind": LoadKind.EMBEDDING}, "embedding"),
        ({"shift": True}, "shift"),
        ({"cache_type": "q4_0"}, "q4_0"),
        ({"context_tokens": 1}, "context"),
    ],
)
def test_what_is_not_served_is_refused_by_name(model: Path, options: dict[str, object], word: str) -> None:
    failure = failure_of(load_of(model, **options))
    assert failure.kind is LoadFailure.UNSUPPORTED
    assert word in failure.message


def test_an_unknown_architecture_is_unsupported(tmp_path: Path) -> None:
    path = tmp_path / "strange.gguf"
    writer = GGUFWriter(path, "strange")
    writer.add_name("strange")
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    assert failure_of(load_of(path)).kind is LoadFailure.UNSUPPORTED


@pytest.mark.parametrize("keep_bytes", [0, 100, -1000])
def test_a_damaged_file_is_a_bad_file(model: Path, tmp_path: Path, keep_bytes: int) -> None:
    path = truncated(tmp_path / "cut.gguf", model, keep_bytes=keep_bytes)
    assert failure_of(load_of(path)).kind is LoadFailure.BAD_FILE


def test_a_model_without_a_tokenizer_is_a_bad_file(tmp_path: Path) -> None:
    path = random_model(tmp_path / "mute.gguf", vocabulary=replace(spm(), model="no_vocab"))
    assert failure_of(load_of(path)).kind is LoadFailure.BAD_FILE


def test_a_model_that_is_no_decoder_is_unsupported(model: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("runner.llama.library.engine.llama_model_has_encoder", lambda _model: True)
    assert failure_of(load_of(model)).kind is LoadFailure.UNSUPPORTED


def test_layers_go_to_an_accelerator_where_there_is_one(model: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[tuple[int, int | None]] = []

    def note(_paths: object, *, gpu_layers: int, main_gpu: int | None, on_progress: object) -> None:
        asked.append((gpu_layers, main_gpu))

    monkeypatch.setattr("runner.llama.library.can_offload", lambda: True)
    monkeypatch.setattr("runner.llama.library.Model.load", note)
    for options in ({}, {"gpu_layers": 3}, {"gpu_layers": 0, "main_gpu": 1}):
        failure_of(load_of(model, **options))
    assert asked == [(-1, None), (3, None), (0, 1)]


def test_a_message_that_makes_no_sense_during_a_load_ends_the_runner(model: Path) -> None:
    with pytest.raises(RemoteWireError, match="Generate"):
        drive(load_of(model), interrupt=lambda _sent: generate("too early"))


def test_a_shutdown_during_the_load_aborts_it(model: Path) -> None:
    sent = drive(load_of(model), interrupt=lambda _sent: Shutdown())
    assert [type(message) for message in sent] == [Progress]


def test_the_gate_holds_a_load_until_it_is_closed(model: Path, tmp_path: Path) -> None:
    gate = tmp_path / "gate"
    os.mkfifo(gate)
    load = msgspec.structs.replace(load_of(model), gate_path=str(gate))
    with runner_process() as runner:
        runner.send(load)
        with gate.open("wb"):  # returns once the load waits
            assert not runner.has_news()
        assert isinstance(runner.until(Ready, LoadFailed)[-1], Ready)


def test_a_runner_whose_load_hangs_leaves_when_told(model: Path, tmp_path: Path) -> None:
    gate = tmp_path / "gate"
    os.mkfifo(gate)
    with runner_process() as runner:
        runner.send(msgspec.structs.replace(load_of(model), gate_path=str(gate)))
        with gate.open("wb"):
            runner.send(Shutdown())
            assert runner.wait() == 0


def test_a_model_that_no_memory_holds_is_out_of_memory(tmp_path: Path) -> None:
    assert ending_within(8 * GIB, load_of(giant_model(tmp_path / "giant.gguf"))) is LoadFailure.OUT_OF_MEMORY


def test_a_context_that_does_not_fit_is_out_of_memory(model: Path) -> None:
    assert ending_within(GIB, load_of(model, context_tokens=8 << 20)) is LoadFailure.OUT_OF_MEMORY


def test_whatever_does_not_fit_the_load_ends_as_out_of_memory(tmp_path: Path) -> None:
    """From the last buffer back to the file itself: some make the engine fail, some make it abort."""
    wide = Shape(layers=1, embedding_length=2048, heads=16, kv_heads=16, head_length=128, feed_forward_length=8192)
    load = load_of(random_model(tmp_path / "wide.gguf", shape=wide, weights=GGMLQuantizationType.Q4_0))
    with runner_process() as runner:
        runner.send(load)
        (host,) = ready_of(runner.until(Ready, LoadFailed)).report.devices
        needed_bytes = psutil.Process(runner.process.pid).memory_info().vms
    taken_bytes = host.own_bytes + host.mapped_bytes
    endings = {ending_within(needed_bytes - taken_bytes * part // 10, load) for part in range(1, 10)}
    assert endings == {LoadFailure.OUT_OF_MEMORY, ExitStatus.OUT_OF_MEMORY}


def ending_within(memory_bytes: int, load: Load) -> LoadFailure | int:
    """How a load fails in a process of so much address space: what it says, or its exit status if it says nothing."""
    with runner_process(memory_bytes=memory_bytes) as runner:
        runner.send(load)
        messages = runner.until(LoadFailed, Ready)
        status = runner.wait()
    if messages and isinstance(failure := messages[-1], LoadFailed):
        assert status == 0
        return failure.kind
    return status


def test_a_crash_file_aborts_the_process_at_its_first_decode(tmp_path: Path) -> None:
    path = crash_model(tmp_path / "crash.gguf")
    with runner_process() as runner:
        runner.send(load_of(path))
        assert isinstance(runner.until(Ready, LoadFailed)[-1], Ready)
        runner.send(chat("anything"))
        runner.until(LeaseEnded)
        assert runner.wait() == -signal.SIGABRT


def test_a_real_process_answers_and_leaves_when_told(tmp_path: Path) -> None:
    path = scripted_model(tmp_path / "script.gguf", "All aboard.")
    with runner_process() as runner:
        runner.send(load_of(path))
        runner.until(Ready, LoadFailed)
        runner.send(chat("hello"))
        assert text_of(runner.until(LeaseEnded)) == "All aboard."
        runner.send(Shutdown())
        assert runner.wait() == 0
