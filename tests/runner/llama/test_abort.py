import pytest

from runner.llama import abort
from runner.llama.log import EngineLog, LogLine
from statemachines.wire.exits import ExitStatus

ERROR = 4


@pytest.fixture
def endings(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    statuses: list[int] = []
    monkeypatch.setattr(abort, "leave", lambda status, _why: statuses.append(status))
    return statuses


def test_an_abort_after_a_failed_allocation_is_out_of_memory(endings: list[int]) -> None:
    log = EngineLog(lambda _line: None)
    log.take(ERROR, b"ggml_aligned_malloc: insufficient memory (attempted to allocate  19.73 MB)\n")
    abort.Abort(log)("ggml.c:1644: GGML_ASSERT(ctx->mem_buffer != NULL) failed")
    assert endings == [ExitStatus.OUT_OF_MEMORY]


def test_an_abort_of_a_device_that_ran_out_of_memory_is_too(endings: list[int]) -> None:
    log = EngineLog(lambda _line: None)
    log.take(ERROR, b"CUDA error: out of memory\n")
    log.take(ERROR, b"  current device: 0, in function alloc at ggml-cuda.cu:551\n")
    log.take(ERROR, b"  cuMemCreate(&handle, reserve_size, &prop, 0)\n")
    abort.Abort(log)("ggml-cuda.cu:98: CUDA error")
    assert endings == [ExitStatus.OUT_OF_MEMORY]


def test_any_other_abort_stays_a_crash_and_is_logged(endings: list[int]) -> None:
    lines: list[LogLine] = []
    log = EngineLog(lines.append)
    log.take(ERROR, b"failed to allocate one thing\n")
    log.take(ERROR, b"CUDA error: an illegal memory access was encountered\n")
    log.take(ERROR, b"  current device: 0, in function synchronize at ggml-cuda.cu:2981\n")
    log.take(ERROR, b"  cudaStreamSynchronize(stream)\n")
    abort.Abort(log)("ops.cpp:1: fatal error")
    assert endings == []
    assert lines[-1] == LogLine("error", "ops.cpp:1: fatal error")
