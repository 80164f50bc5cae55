"""The fixed grid on which prompts are cut.

A chunk is one engine step. Its size decides how soon a cancel, a beat or a thread change is obeyed, and (on weight
types where sums are not exact) the last bits of what comes out. So it is a function of the model file alone, never of
measured speed, and chunks always begin at a multiple of it, counted from position 0.
"""

CHUNK_TOKENS_MIN = 8
CHUNK_TOKENS_MAX = 64

STEP_BYTE_TOKENS = 20_000_000_000
"""Weight bytes times tokens that two cores work through in half a second: 620 MB x 32 tokens took 0.50 s."""


def chunk_tokens(weights_bytes: int) -> int:
    """Tokens of one chunk: the largest power of two that keeps a step within half a second [tokens]."""
    chunk = CHUNK_TOKENS_MAX
    while chunk > CHUNK_TOKENS_MIN and weights_bytes * chunk > STEP_BYTE_TOKENS:
        chunk //= 2
    return chunk


def chunk_end(position: int, length: int, chunk: int) -> int:
    """Where the chunk that starts at `position` ends: on the grid, or with the prompt."""
    return min((position // chunk + 1) * chunk, length)
