"""Builds the frozen views of `statemachines.snapshot` from the world."""

from statemachines.causes import Cause, Wait
from statemachines.deadlines import DeadlineName, Deadlines
from statemachines.entities import Load, Request, Runner
from statemachines.ledger import Ledger
from statemachines.snapshot import (
    DeadlineView,
    DeviceView,
    LeaseView,
    LoadView,
    RequestView,
    RunnerView,
    StateView,
)
from statemachines.states import RequestState
from statemachines.world import World

_RUNNER_DEADLINES = (
    DeadlineName.STALL,
    DeadlineName.IDLE,
    DeadlineName.WEDGE,
    DeadlineName.DRAIN,
    DeadlineName.TERM,
    DeadlineName.KILL,
)
_LOAD_DEADLINES = (DeadlineName.GRACE, DeadlineName.BACKOFF)


def load_wait(load: Load) -> Wait:
    """What an open load waits for."""
    if load.runner is None:
        return load.wait
    return Wait(Cause.LOADING, (f"runner {load.runner.id}",))


def request_wait(request: Request) -> Wait:
    """What a request waits for.

    (1) Its handler is done and the runner has not answered, or (2) the other way round.
    (3) A slot. (4) A load of its key that is in the way. (5) Its own load, for which that load's cause speaks.
    """
    if request.state is RequestState.RELEASING:
        return Wait(Cause.LEASE_END) if request.lease is not None else Wait(Cause.HANDLER_END)  # (1) (2)
    if request.runner is not None:  # (3)
        return Wait(Cause.SLOT, tuple(f"request {held.id}" for held in request.runner.leases.values()))
    if request.behind is not None:  # (4)
        return Wait(Cause.BEHIND_LOAD, (f"load {request.behind.id}",))
    assert request.load is not None
    return load_wait(request.load)  # (5)


def snapshot(world: World, at: int) -> StateView:
    """Everything at one moment."""
    positions = _positions(world)
    return StateView(
        at=at,
        service=world.service.state.value,
        runners=tuple(_runner(runner, world) for runner in world.runners.values()),
        dead=tuple(_runner(runner, world) for runner in world.dead),
        loads=tuple(_load(load, world.deadlines) for load in world.loads.values()),
        requests=tuple(
            _request(request, world.deadlines, positions.get(request.id, 0)) for request in world.requests.values()
        ),
        devices=(_device(world.ledger),),
        counters=dict(world.counters),
    )


def _deadlines(deadlines: Deadlines, names: tuple[DeadlineName, ...], owner: int) -> tuple[DeadlineView, ...]:
    armed = ((name.value, deadlines.due_at(name, owner)) for name in names)
    return tuple(DeadlineView(name, due) for name, due in armed if due is not None)


def _runner(runner: Runner, world: World) -> RunnerView:
    holding = world.ledger.holding(runner.id)
    return RunnerView(
        runner=runner.id,
        model=runner.model,
        key=runner.key,
        load=runner.load.id,
        state=runner.state,
        stage=runner.stage,
        loaded=runner.loaded,
        context_tokens=runner.load.options.context_tokens if runner.loaded is None else runner.loaded.context_tokens,
        fence=runner.fence,
        leases=tuple(_lease(request) for request in runner.leases.values()),
        waiters=tuple(runner.waiters),
        keep_alive_ns=runner.keep_alive_ns,
        expires_at=world.deadlines.due_at(DeadlineName.IDLE, runner.id),
        deadlines=_deadlines(world.deadlines, _RUNNER_DEADLINES, runner.id),
        progress_ppm=runner.progress_ppm,
        threads=world.threads.told.get(runner.id, 0),
        mapped_bytes=0 if holding is None else holding.mapped_bytes,
        own_bytes=0 if holding is None else holding.own_bytes,
        born_at=runner.born_at,
    )


def _lease(request: Request) -> LeaseView:
    assert request.lease is not None
    assert request.granted_at is not None
    return LeaseView(request.lease, request.id, request.granted_at, request.cancel_step is not None)


def _load(load: Load, deadlines: Deadlines) -> LoadView:
    return LoadView(
        load=load.id,
        model=load.model,
        key=load.key,
        state=load.state,
        cause=load_wait(load).view(),
        claimants=tuple(load.claimants),
        attempts=load.attempts,
        runner=None if load.runner is None else load.runner.id,
        deadlines=_deadlines(deadlines, _LOAD_DEADLINES, load.id),
        deadline=max(filter(None, (deadlines.due_at(DeadlineName.WAIT, one) for one in load.claimants)), default=None),
        opened_at=load.opened_at,
    )


def _request(request: Request, deadlines: Deadlines, position: int) -> RequestView:
    return RequestView(
        request=request.id,
        model=request.arrival.model,
        state=request.state,
        cause=None if request.state is RequestState.LEASED else request_wait(request).view(),
        runner=None if request.runner is None else request.runner.id,
        load=None if request.load is None else request.load.id,
        lease=request.lease,
        position=position,
        arrived_at=request.arrival.at,
        deadline=_deadline(request, deadlines),
    )


def _deadline(request: Request, deadlines: Deadlines) -> int | None:
    """The request's own wait limit, or the limit of the cancel that it waits for."""
    waiting = deadlines.due_at(DeadlineName.WAIT, request.id)
    if waiting is None and request.lease is not None:
        return deadlines.due_at(DeadlineName.CANCEL_ACK, request.lease)
    return waiting


def _positions(world: World) -> dict[int, int]:
    """Of each WAITING request: how many have their turn before it, where it waits [count]."""
    places = [
        *(runner.waiters for runner in world.runners.values()),
        *((*load.claimants, *load.behind) for load in world.loads.values()),
    ]
    return {request: position for place in places for position, request in enumerate(place)}


def _device(ledger: Ledger) -> DeviceView:
    sample = ledger.sample
    return DeviceView(
        device=ledger.device,
        state="ok",
        total_bytes=0 if sample is None else sample.total_bytes,
        free_bytes=ledger.free_bytes,
        budget_bytes=ledger.budget_bytes,
        reserved_bytes=ledger.reserved_bytes,
        used_bytes=ledger.used_bytes,
        returning_bytes=ledger.returning_bytes,
        source="" if sample is None else sample.source,
    )
