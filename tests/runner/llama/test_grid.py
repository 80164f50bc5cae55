import pytest
from hypothesis import given
from hypothesis import strategies as st

from runner.llama.grid import CHUNK_TOKENS_MAX, CHUNK_TOKENS_MIN, STEP_BYTE_TOKENS, chunk_end, chunk_tokens


@pytest.mark.parametrize(
    ("weights_bytes", "tokens"),
    [(0, 64), (312_500_000, 64), (312_500_001, 32), (620_000_000, 32), (1_200_000_000, 16), (40_000_000_000, 8)],
)
def test_larger_models_get_smaller_chunks(weights_bytes: int, tokens: int) -> None:
    assert chunk_tokens(weights_bytes) == tokens


@given(st.integers(0, 10**13))
def test_a_chunk_is_the_largest_power_of_two_that_fits(weights_bytes: int) -> None:
    chunk = chunk_tokens(weights_bytes)
    assert chunk & (chunk - 1) == 0
    assert chunk * weights_bytes <= STEP_BYTE_TOKENS or chunk == CHUNK_TOKENS_MIN
    assert 2 * chunk * weights_bytes > STEP_BYTE_TOKENS or chunk == CHUNK_TOKENS_MAX


@given(st.integers(1, 500), st.sampled_from([8, 16, 32, 64]))
def test_chunks_cover_a_prompt_and_begin_on_the_grid(length: int, chunk: int) -> None:
    position = 0
    while position < length:
        assert position % chunk == 0
        end = chunk_end(position, length, chunk)
        assert 0 < end - position <= chunk
        position = end
    assert position == length


def test_a_chunk_that_starts_off_the_grid_returns_to_it() -> None:
    assert chunk_end(70, 500, 64) == 128
