"""Brings a real runner into a phase of its life and holds it there, for something to happen to it.

Each function asks, waits until the phase is reached, and returns who is in it. What holds it differs: a gate, a frozen
process, an answer without end.
"""

from dataclasses import dataclass
from typing import Any

from statemachines.events import LeaseEnded, RunnerBeat
from statemachines.snapshot import RunnerView, StateView
from statemachines.states import RunnerState, Stage
from statemachines.units import RunnerId
from tests.integration.faults.clients import Asked
from tests.integration.faults.gates import Gate
from tests.integration.faults.harness import ENDLESS, Faulted
from tests.integration.faults.signals import freeze

LONG_PROMPT = "so " * 10_000
"""Takes the engine some seconds before the first token, and as many again in another runner."""


@dataclass
class Held:
    """A runner in a phase.

    Attributes:
        asked: the client whose request it serves; None when it is idle.
        gate: where its load stands.
    """

    runner: RunnerId
    pid: int
    asked: Asked | None = None
    gate: Gate | None = None

    @property
    def client(self) -> Asked:
        assert self.asked is not None, "nobody asks for anything in this phase"
        return self.asked


async def loading(service: Faulted, model: str = "polite", **fields: Any) -> Held:
    """LOADING, its load at a gate, its client waiting."""
    gate = service.gates.hold(model)
    asked = service.ask(model, **fields)
    await gate.arrived()
    runner = (await service.runner(RunnerState.LOADING, model=model)).runner
    return Held(runner, service.pid(runner), asked, gate)


async def idle(service: Faulted, model: str = "polite") -> Held:
    """READY and frozen, without a lease."""
    await service.generate(model, prompt="")
    await service.until(lambda view: not [one for one in view.requests if one.model == f"{model}:latest"])
    runner = (await service.runner(RunnerState.READY, model=model)).runner
    pid = service.pid(runner)
    await freeze(pid)
    return Held(runner, pid)


async def first_token(service: Faulted, model: str = "polite", **fields: Any) -> Held:
    """READY and frozen, with a lease of which nothing has been said."""
    held = await idle(service, model)
    held.asked = service.ask(model, **fields)
    await service.until(lambda view: _view(view, held.runner).leases)
    return held


async def prefill(service: Faulted) -> Held:
    """READY, awake and evaluating a long prompt: a part is done, as it has told, and nothing has been said."""
    asked = service.ask("endless", prompt=LONG_PROMPT, options={**ENDLESS, "num_predict": 3})
    await beats(service, asked, 1)
    runner = (await service.runner(RunnerState.READY, model="endless")).runner
    return Held(runner, service.pid(runner), asked)


async def beats(service: Faulted, asked: Asked, count: int) -> list[RunnerBeat]:
    """Wait until runners have told so often that they evaluate a prompt; all that they have told of it.

    The beat with which a runner takes up a lease, in step 0, tells of no evaluation, and is left out. When this returns
    the client has been told nothing.

    Raises:
        AssertionError: the engine was through with the prompt before: it is too short for this machine.
    """
    ended = len(service.events(LeaseEnded))

    def told() -> list[RunnerBeat]:
        return [beat for beat in service.events(RunnerBeat) if beat.step > 0]

    await service.until(lambda _: len(told()) >= count or len(service.events(LeaseEnded)) > ended)
    is_over = asked.lines or len(service.events(LeaseEnded)) > ended
    assert not is_over, f"too short a prompt for this machine: the answer came after {len(told())} beats"
    return told()


async def mid_answer(service: Faulted) -> Held:
    """READY and talking without end; its client has read a piece."""
    asked = service.ask("endless", options=ENDLESS)
    await asked.piece()
    runner = (await service.runner(RunnerState.READY, model="endless")).runner
    return Held(runner, service.pid(runner), asked)


async def draining(service: Faulted, held: Held) -> Held:
    """UNLOADING by an operator's force, its lease still open."""
    service.force_stop(_view(service.state(), held.runner).model)
    await service.until(lambda view: _view(view, held.runner).stage is Stage.DRAINING)
    return held


async def unloading(service: Faulted, model: str = "polite") -> Held:
    """UNLOADING, asked to end and frozen, so that it does not."""
    held = await idle(service, model)
    await service.generate(model, prompt="", keep_alive=0)
    await service.until(lambda view: _view(view, held.runner).stage is Stage.TERMINATING)
    return held


def _view(view: StateView, runner: RunnerId) -> RunnerView:
    (found,) = (one for one in view.runners if one.runner == runner)
    return found
