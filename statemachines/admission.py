"""Requests come, are placed where they wait, get their slots, and go.

Theory of operation. A WAITING request is in exactly one place: with the READY runner that covers it, as claimant of
the open load that will cover it, or behind an open load of its key that will not. Places are indexes, kept in order
of turn; when something about a key changes (its runner is READY, fenced or gone, its load closed) all waiting
requests of that key are placed anew, which is where "everyone is considered again" happens.
"""

from itertools import islice

from statemachines.covers import covers
from statemachines.deadlines import DeadlineName
from statemachines.drive import Driver
from statemachines.entities import Load, Request, Runner
from statemachines.errors import Refusal
from statemachines.events import LeaseEnded, LeaseOutcome, RequestArrived, RequestFinished
from statemachines.facts import LoadKey
from statemachines.failures import REPLACED, closed, waited_too_long
from statemachines.load import LoadTrigger
from statemachines.memory import host_need
from statemachines.queue import in_turn, queue_full
from statemachines.request import RequestTrigger
from statemachines.runner import RunnerTrigger
from statemachines.states import RequestState
from statemachines.step import Step
from statemachines.units import LeaseId, RequestId
from statemachines.views import request_wait
from statemachines.world import World


class Admission:
    """Requests of one world."""

    def __init__(self, world: World, driver: Driver) -> None:
        self._world = world
        self._driver = driver

    # Events

    def arrive(self, arrival: RequestArrived, step: Step) -> None:
        """A new request: refused at once, granted in this step, or waiting with a deadline."""
        world = self._world
        if arrival.request in world.requests:
            world.count("ignored_request_doubled")
            return
        request = Request(arrival, step.number, at=step.at)
        world.requests[request.id] = request
        world.enter_waiting(request)
        refusal = self._refusal(request, step)
        if refusal is not None:
            self._driver.fire_request(request, RequestTrigger.REFUSED, step, refusal)
            return
        step.arm(DeadlineName.WAIT, request.id, world.limits.wait_ns)
        self._place(request, step)

    def _refusal(self, request: Request, step: Step) -> Refusal | None:
        """(1) Not open yet, or not any more; (2) its file was replaced; (3) it would wait as one too many."""
        if (refusal := closed(self._world.service, step.at)) is not None:  # (1)
            return refusal
        ready = self._world.ready.get(request.key)
        if ready is not None and ready.is_retired:  # (2)
            return REPLACED
        if ready is not None and _covers(ready, request) and ready.free_slots > len(ready.waiters):
            return None
        waiting, per_grant_ns = self._world.waiting_count - 1, self._world.pace.per_grant_ns(step.at)
        return queue_full(waiting, self._world.limits.queue_len_max, per_grant_ns)  # (3)

    def finish(self, event: RequestFinished, step: Step) -> None:
        """The handler is done; a request that is not known any more was refused before."""
        request = self._world.requests.get(event.request)
        if request is None:
            self._world.count("ignored_request_over")
            return
        self._driver.fire_request(request, RequestTrigger.FINISHED, step)

    def expire(self, request_id: RequestId, step: Step) -> None:
        """A request has waited for as long as it may."""
        request = self._world.requests[request_id]
        wait = request_wait(request)
        left_ns = None if wait.until is None else wait.until - step.at
        refusal = waited_too_long(step.at - request.waiting_since, wait.words, left_ns)
        self._driver.fire_request(request, RequestTrigger.WAIT_EXPIRED, step, refusal)

    def end_lease(self, event: LeaseEnded, step: Step) -> None:
        """A slot is free. A lost lease whose handler is not done is tried again or explained."""
        held = self._world.leases.get(event.lease)
        if held is None or held[1].id != event.runner:
            self._world.count("ignored_lease_over")
            return
        request, runner = held
        self._forget_lease(event.lease, runner)
        if event.outcome in (LeaseOutcome.CRASHED, LeaseOutcome.OUT_OF_MEMORY):
            # Its link is at its end: nobody may be granted a slot of it between this and ProcessExited.
            self._driver.fire_runner(runner, RunnerTrigger.LINK_LOST, step, event)
        self._driver.fire_request(request, self._how_it_ended(request, event), step, event)
        if request.state is RequestState.WAITING:
            self._world.note_stop(request.key, runner.stopped_at_step)
        self._driver.fire_runner(runner, RunnerTrigger.LEASE_ENDED, step)
        self._world.to_serve[runner.id] = runner
        self._world.wake_loads()

    def _how_it_ended(self, request: Request, event: LeaseEnded) -> RequestTrigger:
        if event.outcome is LeaseOutcome.FINISHED:
            return RequestTrigger.LEASE_ENDED
        # Not where memory ran out: the same model in the same memory would only take it from others once more.
        request.is_unsent = event.outcome is LeaseOutcome.CRASHED and not event.sent
        return RequestTrigger.LEASE_LOST

    def _forget_lease(self, lease: LeaseId, runner: Runner) -> None:
        del self._world.leases[lease], runner.leases[lease]

    # Placing

    def place_key(self, key: LoadKey, step: Step) -> None:
        """Place all waiting requests of a key anew, in turn; a load that loses its claimants to a runner hears of it.

        Those whom the READY runner serves come first, so that they keep their turn; then those whom the open load
        covers, so that it never looks abandoned to one whom it does not cover.
        """
        ready, load = self._world.ready.get(key), self._world.open_load.get(key)
        if load is not None and self._driver.serve_waiting_load(load, step):
            load = None
        was_claimed = load is not None and bool(load.claimants)
        requests = in_turn(self._world.waiting.get(key, {}).values())
        for request in requests:
            self._world.unplace(request)
        for request in sorted(requests, key=lambda request: _rank(request, ready, load)):
            self._place(request, step)
        if load is not None and load.is_open and was_claimed and not load.claimants:
            self._driver.fire_load(load, LoadTrigger.ABANDONED, step)

    def _place(self, request: Request, step: Step) -> None:
        """Where a request waits.

        (1) At the READY runner that covers it and takes new requests.
        (2) With the open load that will cover it.
        (3) A load that nobody claims gives way to a request of its key that it will not cover.
        (4) Behind the open load that somebody claims.
        (5) With a load of its own.
        """
        ready = self._world.ready.get(request.key)
        if ready is not None and ready.is_open and _covers(ready, request):  # (1)
            request.runner = ready
            ready.waiters[request.id] = request
            self._world.to_serve[ready.id] = ready
            return
        load = self._world.open_load.get(request.key)
        if load is not None and covers(load.options, request.wanted):  # (2)
            self._claim(load, request, step)
            return
        if load is not None and not load.claimants and load.runner is not None:  # (3)
            self._driver.fire_runner(load.runner, RunnerTrigger.VICTIM_CHOSEN, step)
            load = None
        if load is not None:  # (4)
            request.behind = load
            load.behind[request.id] = request
            return
        self._claim(self._open_load(request, step), request, step)  # (5)

    def _claim(self, load: Load, request: Request, step: Step) -> None:
        request.load = load
        request.waited_load = load.id
        load.claimants[request.id] = request
        load.turn = request.arrived_step if load.turn is None else min(load.turn, request.arrived_step)
        self._driver.fire_load(load, LoadTrigger.CLAIMED, step)

    def _open_load(self, request: Request, step: Step) -> Load:
        world, arrival = self._world, request.arrival
        load = Load(
            world.next_load(),
            arrival.key,
            arrival.model,
            arrival.wanted,
            host_need(arrival.sizes, arrival.wanted),
            at=step.at,
            attempts_max=world.limits.load_attempts_max,
        )
        world.loads[load.id] = load
        world.open_load[load.key] = load
        world.to_plan[load.id] = load
        return load

    # Granting

    def serve(self, runner: Runner, step: Step) -> None:
        """Hand out the free slots of a runner, in turn."""
        for request in tuple(islice(runner.waiters.values(), max(0, runner.free_slots))):
            self._grant(request, runner, step)

    def _grant(self, request: Request, runner: Runner, step: Step) -> None:
        """One slot to one request; its keep-alive counts unless an operator's stop came after it (rule 12)."""
        lease = self._world.next_lease()
        self._world.leave_waiting(request)
        self._world.pace.note_grant(step.at)
        request.runner = runner
        runner.leases[lease] = request
        self._world.leases[lease] = (request, runner)
        keep_alive_ns = request.arrival.keep_alive_ns
        if keep_alive_ns is not None and request.arrived_step > runner.stopped_at_step:
            runner.keep_alive_ns = min(keep_alive_ns, self._world.limits.keep_alive_max_ns)
        self._driver.fire_runner(runner, RunnerTrigger.LEASE_GRANTED, step)
        self._driver.fire_request(request, RequestTrigger.GRANTED, step, lease)

    def refuse_key(self, key: LoadKey, refusal: Refusal, step: Step) -> None:
        """Every request that waits for this key is told the same."""
        for request in tuple(self._world.waiting.get(key, {}).values()):
            self._driver.fire_request(request, RequestTrigger.REFUSED, step, refusal)

    def refuse_all(self, refusal: Refusal, step: Step) -> None:
        """Every request that still waits is told the same."""
        for key in tuple(self._world.waiting):
            self.refuse_key(key, refusal, step)


def _covers(runner: Runner, request: Request) -> bool:
    return runner.loaded is not None and covers(runner.loaded, request.wanted)


def _rank(request: Request, ready: Runner | None, load: Load | None) -> int:
    if ready is not None and ready.is_open and _covers(ready, request):
        return 0
    return 1 if load is not None and covers(load.options, request.wanted) else 2
