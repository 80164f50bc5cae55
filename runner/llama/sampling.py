"""The samplers of one answer, in llama.cpp's usual order: penalties, top-k, top-p, min-p, temperature, draw."""

import os
from collections.abc import Sequence

from runner.llama.library import SamplerChain
from statemachines.wire.messages import Sampling

SEED_DRAWN = -1
"""Asks for a seed of our choice."""
_SEED_BITS_MASK = 0xFFFFFFFF
_ENGINE_DRAWS = 0xFFFFFFFF
"""The engine takes this seed as a wish for a random one; no request may mean it by accident."""


def engine_seed(seed: int) -> int:
    """A seed the engine takes as it is: equal requests get equal ones, except that -1 draws."""
    if seed == SEED_DRAWN:
        return int.from_bytes(os.urandom(4), "little") % _ENGINE_DRAWS
    return min(seed & _SEED_BITS_MASK, _ENGINE_DRAWS - 1)


GREEDY_BELOW = 1e-30
"""Colder than this, a logit divided by the temperature may leave the range of the engine's floats; what it draws from
then is no distribution, and it takes the last candidate."""


def sampler_chain(wanted: Sampling, *, vocabulary_tokens: int, context_tokens: int) -> SamplerChain:
    """Samplers for one answer; whatever is off is left out. The caller closes the chain."""
    chain = SamplerChain()
    # The engine sets aside memory for as many as it is told; there are never more than the context.
    last_tokens = context_tokens if wanted.repeat_last_n < 0 else min(wanted.repeat_last_n, context_tokens)
    if wanted.repeat_penalty != 1 and last_tokens:
        chain.penalties(vocabulary_tokens, last_tokens, wanted.repeat_penalty)
    if wanted.temperature < GREEDY_BELOW:
        chain.greedy()
        return chain
    _add_choice(chain, wanted)
    return chain


def _add_choice(chain: SamplerChain, wanted: Sampling) -> None:
    if wanted.top_k > 0:
        chain.top_k(wanted.top_k)
    if wanted.top_p < 1:
        chain.top_p(wanted.top_p)
    if wanted.min_p > 0:
        chain.min_p(wanted.min_p)
    chain.temperature(wanted.temperature)
    chain.draw(engine_seed(wanted.seed))


def accept_prompt(chain: SamplerChain, wanted: Sampling, tokens: Sequence[int]) -> None:
    """Let the penalties look back into the prompt, as llama.cpp's own server does."""
    last = len(tokens) if wanted.repeat_last_n < 0 else min(wanted.repeat_last_n, len(tokens))
    for token in tokens[len(tokens) - last :]:
        chain.accept(token)
