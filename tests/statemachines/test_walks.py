"""Random walks through the core: every invariant after every event, and in the end everything finishes.

This is not the simulator; it is the net under the unit tests. Strict mode raises at the first broken invariant.
"""

import random

import pytest

from statemachines import effects, events
from statemachines.deadlines import DeadlineName
from statemachines.facts import LoadFailure, LoadOptions
from statemachines.step import Step
from statemachines.units import HOST, MIB, NS_PER_S, LeaseId, RequestId, RunnerId
from tests.statemachines.bench import Bench, key_of, need_bytes

MODELS = ("a", "b", "c", "d")


class Walk:
    """One walk: the world's side of the bargain, played at random."""

    def __init__(self, seed: int) -> None:
        self.rng = random.Random(seed)
        limits = {
            "runners_max": self.rng.choice((1, 2, 3)),
            "loads_parallel_max": self.rng.choice((1, 2)),
            "queue_len_max": self.rng.choice((4, 50)),
            "load_grace_ns": self.rng.choice((0, 5 * NS_PER_S)),
            "plans_per_step_max": self.rng.choice((1, 8)),
            "cpu_threads": self.rng.choice((1, 2, 4)),
            "keep_alive_default_ns": self.rng.choice((0, 20 * NS_PER_S)),
            "wait_ns": self.rng.choice((15 * NS_PER_S, 600 * NS_PER_S)),
            "wedge_ns": self.rng.choice((3 * NS_PER_S, 60 * NS_PER_S)),
            "stop_grace_ns": self.rng.choice((0, 5 * NS_PER_S)),
        }
        self.bench = Bench(memory_bytes=self.rng.choice((1, 2, 5)) * need_bytes(100 * MIB) + MIB, **limits)
        self.slots = self.rng.choice((1, 3))
        self.handlers: dict[RequestId, None] = {}
        self.processes: dict[RunnerId, str] = {}
        self.leases: dict[LeaseId, tuple[RequestId, RunnerId]] = {}
        self.taken = 0
        self.work_done = 0

    def absorb(self) -> None:
        """What the shell would do with the new effects."""
        while self.taken < len(self.bench.out):
            effect = self.bench.out[self.taken]
            self.taken += 1
            match effect:
                case effects.SpawnRunner(runner=runner):
                    self.processes[runner] = "loading"
                case effects.KillRunner(runner=runner) | effects.TerminateRunner(runner=runner):
                    if self.rng.random() < 0.9:
                        self.processes[runner] = "dying"
                case effects.GrantLease(request=request, lease=lease, runner=runner):
                    self.leases[lease] = (request, runner)
                case effects.CancelLease(lease=lease) if lease in self.leases and self.rng.random() < 0.8:
                    self.end(lease, events.LeaseOutcome.CANCELLED)

    def end(self, lease: LeaseId, outcome: events.LeaseOutcome) -> None:
        _, runner = self.leases.pop(lease)
        sent = self.rng.random() < 0.5
        self.bench.give(events.LeaseEnded(runner=runner, lease=lease, outcome=outcome, sent=sent))

    def exit(self, runner: RunnerId) -> None:
        """As the shell does: first every lease, then the process."""
        del self.processes[runner]
        for lease in [lease for lease, (_, where) in self.leases.items() if where == runner]:
            if self.rng.random() < 0.9:
                self.end(lease, events.LeaseOutcome.CRASHED)
            else:
                del self.leases[lease]
        self.bench.exit(runner, -9, was_out_of_memory=self.rng.random() < 0.2)

    def chaos(self) -> None:
        """One random thing happens."""
        bench, rng = self.bench, self.rng
        roll = rng.random()
        runner = rng.choice(sorted(self.processes)) if self.processes else None
        if roll < 0.30:
            keep = rng.choice((None, None, 0, 10 * NS_PER_S, -1))
            keep_alive_ns = (1 << 63) - 1 if keep == -1 else keep
            self.handlers[bench.ask(rng.choice(MODELS), wanted=self.wanted(), keep_alive_ns=keep_alive_ns)] = None
        elif roll < 0.40 and self.handlers:
            request = rng.choice(sorted(self.handlers))
            del self.handlers[request]
            bench.finish(request)
        elif roll < 0.55 and self.leases:
            self.end(rng.choice(sorted(self.leases)), events.LeaseOutcome.FINISHED)
        elif roll < 0.75 and runner is not None:
            self.move(runner)
        elif roll < 0.85:
            bench.pass_time(rng.randrange(0, 8 * NS_PER_S))
        elif roll < 0.90:
            bench.give(events.OperatorStop(key=key_of(rng.choice(MODELS)), force=rng.random() < 0.3))
        elif roll < 0.92:
            bench.give(events.ModelReplaced(key=key_of(rng.choice(MODELS))))
        elif roll < 0.96 and runner is not None:
            self.exit(runner)
        elif runner is not None:
            rng.choice((self.beat, self.lose, self.acknowledge))(runner)

    def wanted(self) -> LoadOptions:
        context = self.rng.choice((None, None, 2048, 8192))
        cache_type = self.rng.choice(("f16", "f16", "f16", "q8_0"))
        return LoadOptions(context or 4096, context_is_automatic=context is None, cache_type=cache_type)

    def sample(self, free_share: float) -> None:
        """Memory as the world would show it: others take some, and the processes have what they have."""
        view = self.bench.core.snapshot()
        total_bytes = view.devices[0].total_bytes
        resident = tuple(
            events.Resident(runner.runner, self.rng.randrange(runner.own_bytes + 1)) for runner in view.runners
        )
        taken = sum(found.own_bytes for found in resident)
        free_bytes = max(0, int(total_bytes * free_share) - taken)
        host = events.DeviceSample(HOST, total_bytes, free_bytes, "walk")
        self.bench.give(events.DevicesSampled(samples=(host,), resident=resident))

    def move(self, runner: RunnerId) -> None:
        """A process does the next thing it would do by itself."""
        rng, bench = self.rng, self.bench
        if self.processes[runner] == "loading" and rng.random() < 0.8:
            self.processes[runner] = "ready"
            bench.load(runner, slots=self.slots, report=rng.random() < 0.5)
        elif self.processes[runner] == "loading":
            self.processes[runner] = "dying"
            bench.fail_load(runner, rng.choice(list(LoadFailure)))
        elif self.processes[runner] == "dying":
            self.exit(runner)
        else:
            self.sample(rng.choice((0.5, 0.8, 1.0)))

    def beat(self, runner: RunnerId) -> None:
        self.work_done += self.rng.randrange(2)
        self.bench.give(events.RunnerBeat(runner=runner, step=self.rng.randrange(100), progress=self.work_done))

    def lose(self, runner: RunnerId) -> None:
        self.bench.give(events.LinkLost(runner=runner, message="gone"))

    def acknowledge(self, runner: RunnerId) -> None:
        self.bench.give(events.ThreadsChanged(runner=runner, threads=self.rng.choice((1, 2, 4))))

    def calm(self) -> None:
        """Chaos is over: processes load, answer and exit when told; everything must finish."""
        self.sample(1.0)
        for lease in list(self.leases):
            self.end(lease, events.LeaseOutcome.FINISHED)
        for runner in list(self.processes):
            if self.processes[runner] == "loading":
                self.processes[runner] = "ready"
                self.bench.load(runner, slots=self.slots)
            elif self.bench.runner(runner).state == "unloading":
                self.exit(runner)
        self.bench.pass_time(3 * NS_PER_S)
        for request in list(self.handlers):
            if request not in self.bench_waiting():
                del self.handlers[request]
                self.bench.finish(request)

    def bench_waiting(self) -> set[RequestId]:
        return {view.request for view in self.bench.core.snapshot().requests if view.state != "releasing"}


def assert_nobody_was_forgotten(bench: Bench) -> None:
    """Rule 6: consider everybody once more, without any cause; nothing may come of it."""
    core = bench.core
    world = core._world
    if core.next_deadline() is not None and core.next_deadline() <= bench.at:
        return
    world.to_place.update(dict.fromkeys(world.waiting))
    world.to_serve.update(world.runners)
    world.wake_loads()
    step = Step(bench.at, 0, bench.limits, world.deadlines)
    while world.to_place or world.to_serve or world.to_plan:
        core._settle(step)
    world.deadlines.disarm(DeadlineName.PLAN, 0)
    assert step.effects == []


@pytest.mark.parametrize("seed", range(150))
def test_every_walk_keeps_every_invariant_and_comes_to_rest(seed: int) -> None:
    walk = Walk(seed)
    for _ in range(250):
        walk.chaos()
        walk.absorb()
        assert_nobody_was_forgotten(walk.bench)
    for _ in range(120):
        walk.calm()
        walk.absorb()
        view = walk.bench.core.snapshot()
        if not view.requests and not view.loads:
            break
    assert not view.requests, [(r.request, r.state, r.cause) for r in view.requests]
    assert not view.loads
    for _ in range(20):
        walk.chaos()
        walk.absorb()
    walk.bench.give(events.ShutdownOrdered(force=seed % 2 == 0))
    for _ in range(20):
        walk.chaos()
        walk.absorb()
    for runner in list(walk.processes):
        walk.exit(runner)
    for request in list(walk.handlers):
        walk.bench.finish(request)
    assert walk.bench.core.snapshot().service == "stopped"
    assert sum(device.reserved_bytes + device.used_bytes for device in walk.bench.core.snapshot().devices) == 0
