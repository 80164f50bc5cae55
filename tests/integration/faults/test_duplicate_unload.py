"""B11 with real processes: two unloads of one model are in flight, and the runner that came after is not touched.

The interleaving, forced at every point:

1. A client's load stands at a gate inside the engine's progress callback; its runner is frozen, so that its unload
   will stay in flight for as long as the test wants.
2. The client leaves (`load_grace_s` is 0), and another asks for the same model with other options. Both are a reason
   to unload the first runner, and they come in either order.
3. The second load starts beside the first runner and stands at a gate of its own, or has loaded and been asked.
4. Now the first runner's end comes: it obeys the SIGTERM that it was sent, or a stranger kills it, or the core's next
   rung does.
"""

import itertools
import math
from collections.abc import Awaitable, Callable, Iterable
from typing import Any

import msgspec
import pytest
import trio

from service.config import Settings
from statemachines.effects import GrantLease, KillRunner, TerminateRunner
from statemachines.snapshot import RequestView
from statemachines.states import RunnerState
from statemachines.units import RunnerId
from tests.integration.faults.clients import Asked
from tests.integration.faults.harness import KIND, POLITE, Faulted, faulted, limits
from tests.integration.faults.signals import freeze, murder, thaw

REPETITIONS, VARIANT_REPETITIONS = 50, 6
TEXTS = {"polite": POLITE, "kind": KIND}
FIRST_TOKENS, SECOND_TOKENS = 256, 512
"""Contexts of the two loads: the first does not cover the second."""

SecondComes = Callable[[Faulted, str, Asked], Awaitable[Asked]]
Interleaving = tuple[SecondComes, Callable[[int], None], bool]
"""How the second client comes, how the first runner ends, whether the second one has loaded by then."""


@pytest.fixture
def settings(settings: Settings) -> Settings:
    return msgspec.structs.replace(settings, limits=limits(load_grace_ns=0))


def ask(service: Faulted, model: str, context_tokens: int, **fields: Any) -> Asked:
    return service.ask(model, options={"num_ctx": context_tokens}, **fields)


async def waits_behind(service: Faulted, model: str, first: Asked) -> Asked:
    """The second client is there when the first one leaves: both reasons to unload come in one step."""
    second = ask(service, model, SECOND_TOKENS)
    await service.until(lambda view: any(_is_behind(one, model) for one in view.requests))
    await first.leave()
    return second


async def comes_after(service: Faulted, model: str, first: Asked) -> Asked:
    """The second client comes when the first unload is under way."""
    await first.leave()
    await service.runner(RunnerState.UNLOADING, model=model)
    return ask(service, model, SECOND_TOKENS)


def _is_behind(request: RequestView, model: str) -> bool:
    return request.model == f"{model}:latest" and request.cause is not None and request.cause.cause == "behind_load"


async def two_unloads(
    service: Faulted, model: str, second_comes: SecondComes, end: Callable[[int], None] | None, *, is_loaded: bool
) -> None:
    """One interleaving, and what must hold of it.

    Args:
        end: how the process of the first runner ends; None for the core's next rung, a SIGKILL.
        is_loaded: the second runner has answered when the first one ends; otherwise it is LOADING, at its gate.
    """
    first_gate, second_gate = service.gates.hold(model), service.gates.hold(model)
    first = ask(service, model, FIRST_TOKENS)
    await first_gate.arrived()
    old = (await service.runner(RunnerState.LOADING, model=model)).runner
    await freeze(service.pid(old))
    second = await second_comes(service, model, first)
    await service.effect(TerminateRunner, old)
    await second_gate.arrived()
    new = (await service.runner(RunnerState.LOADING, model=model)).runner
    if is_loaded:
        second_gate.open()
        await second.end()

    if end is None:
        await service.expire("term", runner=old)
    else:
        end(service.pid(old))
    await service.dead(old)
    first_gate.open()
    second_gate.open()
    await second.end()

    assert (second.status, second.text) == (200, TEXTS[model])
    assert ends_ordered(service, old) == ([TerminateRunner] if end else [TerminateRunner, KillRunner])
    assert ends_ordered(service, new) == []
    last = ask(service, model, SECOND_TOKENS, keep_alive=0)
    await last.end()
    assert last.text == TEXTS[model]
    assert [one.runner for one in service.effects(GrantLease) if one.runner in (old, new)] == [new, new]
    await service.dead(new)


def ends_ordered(service: Faulted, runner: RunnerId) -> list[type]:
    """How the core ended a runner, order by order."""
    orders = [*service.effects(TerminateRunner), *service.effects(KillRunner)]
    return [type(order) for order in orders if order.runner == runner]


@pytest.mark.parametrize("second_comes", [waits_behind, comes_after])
@pytest.mark.parametrize("is_loaded", [False, True])
async def test_b11_the_core_s_last_rung_for_the_first_runner_does_not_reach_the_second_50_times(
    settings: Settings, second_comes: SecondComes, is_loaded: bool
) -> None:
    """One after the other: the core's time is put forward for all at once."""
    async with faulted(settings) as service:
        for _ in range(math.ceil(REPETITIONS / 4)):
            await two_unloads(service, "polite", second_comes, None, is_loaded=is_loaded)


async def test_b11_two_unloads_in_flight_never_touch_the_runner_that_came_after_50_times(settings: Settings) -> None:
    """The interleaving in which it was found: the second client comes after, and the first runner obeys at last."""
    await in_two_lanes(settings, itertools.repeat((comes_after, thaw, False), REPETITIONS))


async def test_b11_nor_does_any_other_order_of_the_same_steps_nor_any_other_end(settings: Settings) -> None:
    variants = itertools.product((waits_behind, comes_after), (thaw, murder), (False, True))
    await in_two_lanes(settings, itertools.chain.from_iterable(itertools.repeat(tuple(variants), VARIANT_REPETITIONS)))


async def in_two_lanes(settings: Settings, interleavings: Iterable[Interleaving]) -> None:
    """Two models side by side: as fast as two cores are, and each other's disturbance."""
    todo = iter(interleavings)

    async def lane(model: str) -> None:
        for second_comes, end, is_loaded in todo:
            await two_unloads(service, model, second_comes, end, is_loaded=is_loaded)

    async with faulted(settings) as service, trio.open_nursery() as lanes:
        for model in TEXTS:
            lanes.start_soon(lane, model)
