import pytest

from runner.llama.failure import classify
from statemachines.facts import LoadFailure


@pytest.mark.parametrize(
    "line",
    [
        "llama_model_load: error loading model: mmap failed: Cannot allocate memory",
        "llama_model_load: error loading model: unable to allocate CPU_REPACK buffer",
        "ggml_aligned_malloc: insufficient memory (attempted to allocate 999.00 MB)",
        "alloc_tensor_range: failed to allocate CPU buffer of size 1048576",
        "llama_model_load: error loading model: std::bad_alloc",
        "cudaMalloc failed: out of memory",
    ],
)
def test_every_wording_of_out_of_memory_is_known(line: str) -> None:
    assert classify([line], LoadFailure.BAD_FILE).kind is LoadFailure.OUT_OF_MEMORY


def test_an_unknown_architecture_is_unsupported() -> None:
    line = "llama_model_load: error loading model: error loading model architecture: unknown model architecture: 'x'"
    assert classify([line], LoadFailure.BAD_FILE).kind is LoadFailure.UNSUPPORTED


@pytest.mark.parametrize("otherwise", [LoadFailure.BAD_FILE, LoadFailure.ENGINE])
def test_what_is_not_understood_depends_on_when_it_happened(otherwise: LoadFailure) -> None:
    assert classify(["llama_model_load: error loading model: something new"], otherwise).kind is otherwise


def test_no_word_of_the_log_reaches_the_message() -> None:
    failure = classify(["failed to load /home/ada/secret.gguf: unable to allocate"], LoadFailure.BAD_FILE)
    assert "secret" not in str(failure)
