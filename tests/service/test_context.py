"""B15 for a machine without a GPU: one place, one answer, whatever is free."""

import pytest

from service.context import context_default, wanted_options
from statemachines.facts import LoadOptions


def test_b15_the_tier_of_a_machine_without_a_gpu_is_named() -> None:
    default = context_default(None)

    assert (default.tokens, default.is_automatic) == (4096, True)
    assert "without a GPU" in default.why


def test_b15_the_operators_setting_is_explicit() -> None:
    default = context_default(1234)

    assert (default.tokens, default.is_automatic) == (1234, False)
    assert "operator" in default.why


@pytest.mark.parametrize(
    ("num_ctx", "setting", "trained", "tokens", "is_automatic"),
    [
        (None, None, 8192, 4096, True),
        (None, None, 2048, 2048, True),
        (None, None, 0, 4096, True),
        (0, None, 8192, 4096, True),
        (None, 1000, 8192, 1000, False),
        (None, 9000, 8192, 8192, False),
        (512, 1000, 8192, 512, False),
        (1, None, 8192, 4, False),
        (-7, None, 8192, 4, False),
        (100_000, None, 8192, 8192, False),
        (100_000, None, 0, 100_000, False),
        (512, None, 2, 2, False),
    ],
)
def test_b15_explicit_before_setting_before_tier_within_what_was_trained(
    num_ctx: int | None, setting: int | None, trained: int, tokens: int, is_automatic: bool
) -> None:
    options = wanted_options(context_default(setting), num_ctx=num_ctx, context_tokens_max=trained)

    assert options == LoadOptions(tokens, context_is_automatic=is_automatic)


@pytest.mark.parametrize("gpu_layers", [None, 0])
def test_layers_on_accelerators_are_as_asked(gpu_layers: int | None) -> None:
    options = wanted_options(context_default(None), num_ctx=None, context_tokens_max=512, gpu_layers=gpu_layers)

    assert options.gpu_layers == gpu_layers
