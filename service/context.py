"""Which context a request gets: resolved here and nowhere else (B15).

The default depends on what the machine is, never on what happens to be free, so that the same request gets the same
context every day.
"""

import msgspec

from statemachines.facts import LoadOptions

CONTEXT_TOKENS_MIN = 4
"""The smallest window that the Ollama API grants."""
TIER_WITHOUT_GPU_TOKENS = 4096


class ContextDefault(msgspec.Struct, frozen=True):
    """What requests without a ``num_ctx`` get.

    Attributes:
        is_automatic: a tier chose it, not the operator.
        why: for the log line.
    """

    tokens: int
    is_automatic: bool
    why: str


def context_default(setting: int | None) -> ContextDefault:
    """The operator's setting, else the tier of a machine that computes on its CPU."""
    if setting:
        return ContextDefault(setting, False, "set by the operator (context_length)")
    return ContextDefault(TIER_WITHOUT_GPU_TOKENS, True, "tier of a machine without a GPU")


def wanted_options(
    default: ContextDefault, *, num_ctx: int | None, context_tokens_max: int, gpu_layers: int | None = None
) -> LoadOptions:
    """What a request wants of a load: its own ``num_ctx`` or the default, within what the model was trained for.

    Args:
        num_ctx: None or 0 when the request leaves it open.
        context_tokens_max: of the model; 0 when its file does not say.
        gpu_layers: None when the request leaves it open.
    """
    tokens = max(CONTEXT_TOKENS_MIN, num_ctx or default.tokens)
    clamped = min(tokens, context_tokens_max) if context_tokens_max else tokens
    is_automatic = default.is_automatic and not num_ctx
    return LoadOptions(clamped, context_is_automatic=is_automatic, gpu_layers=gpu_layers)
