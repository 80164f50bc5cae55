"""Runners: late, doubled and illegal events, lost links, and what the dead leave behind."""

import pytest

from statemachines import effects, events
from statemachines.entities import Request
from statemachines.errors import InternalError
from statemachines.lifecycle import ServiceTrigger
from statemachines.request import RequestTrigger
from statemachines.step import Step
from statemachines.units import GIB, NS_PER_S, DeviceId, LeaseId, RunnerId
from tests.statemachines.bench import Bench, key_of

ONE = RunnerId(1)


def test_a_cancel_limit_of_zero_asks_again_and_again_and_hangs_nobody() -> None:
    bench = Bench(cancel_ack_ns=0)
    bench.ready("a")
    bench.finish(bench.ask("a"))
    bench.give(events.DeadlineReached())
    assert bench.runner(ONE).state == "ready"


@pytest.mark.parametrize("kind", [events.ModelLoaded, events.LinkLost, events.ProcessExited, events.RunnerBeat])
def test_an_event_of_an_incarnation_that_never_was_is_dropped_and_counted(kind: type[events.RunnerEvent]) -> None:
    bench = Bench()
    sample = {
        events.ModelLoaded: events.ModelLoaded(runner=RunnerId(9), loaded=None, report=None),  # type: ignore[arg-type]  # never looked at
        events.LinkLost: events.LinkLost(runner=RunnerId(9), message=""),
        events.ProcessExited: events.ProcessExited(runner=RunnerId(9), exit=events.Exit(0)),
        events.RunnerBeat: events.RunnerBeat(runner=RunnerId(9), step=1, progress=1),
    }[kind]
    bench.give(sample)
    bench.give(events.LoadProgressed(runner=RunnerId(9), done_ppm=1))
    assert bench.core.snapshot().counters["ignored_runner_unknown"] == 2


def test_events_of_a_dead_incarnation_are_ignored_with_the_reason() -> None:
    bench = Bench()
    bench.ready("a")
    bench.exit(ONE)
    bench.exit(ONE)
    assert bench.now(effects.ReportIgnored)[0].reason == "the incarnation is dead: late or doubled"


def test_only_as_many_dead_are_remembered_as_allowed() -> None:
    bench = Bench(dead_kept=1)
    for model in ("a", "b"):
        bench.exit(bench.ready(model))
    assert [view.model for view in bench.core.snapshot().dead] == ["b"]
    bench.exit(ONE)
    assert bench.core.snapshot().counters["ignored_runner_unknown"] == 1


def test_an_illegal_event_is_fatal_in_strict_mode_and_condemns_one_incarnation_otherwise() -> None:
    strict = Bench()
    strict.ready("a")
    with pytest.raises(InternalError, match="runner 1: ready x SpawnFailed"):
        strict.give(events.SpawnFailed(runner=ONE, message="late"))
    lenient = Bench(strict=False)
    lenient.ready("a")
    other = lenient.ready("b")
    lenient.give(events.SpawnFailed(runner=ONE, message="late"))
    assert lenient.now(effects.ReportIllegal)[0].machine == "runner"
    assert (lenient.runner(ONE).stage, lenient.runner(other).state) == ("killing", "ready")
    assert lenient.core.snapshot().counters["illegal"] == 1


def test_a_link_that_is_lost_in_the_middle_ends_the_incarnation() -> None:
    bench = Bench()
    bench.ready("a")
    bench.ask("a")
    bench.give(events.LinkLost(runner=ONE, message="end"))
    assert bench.runner(ONE).stage == "killing"
    assert bench.runner(ONE).leases[0].lease == LeaseId(2)


def test_the_host_counts_what_a_sample_cannot_see_yet() -> None:
    bench = Bench(memory_bytes=4 * GIB)
    bench.ask("a", weight_bytes=GIB)
    before = bench.core.snapshot().devices[0]
    assert before.free_bytes == 4 * GIB - before.reserved_bytes
    bench.load(ONE)
    bench.give(events.DevicesSampled(samples=(events.DeviceSample(DeviceId("other"), 1, 1, "x"),)))
    assert bench.core.snapshot().devices[0].free_bytes == before.free_bytes


def test_time_never_goes_back() -> None:
    bench = Bench()
    bench.pass_time(10 * NS_PER_S)
    late = bench.at
    bench.sample(GIB)
    bench.at = NS_PER_S
    bench.sample(GIB)
    assert bench.core.snapshot().at == late


def test_an_illegal_event_about_no_incarnation_condemns_nobody() -> None:
    bench = Bench(strict=False)
    bench.ready("a")
    waiting = bench.ask("b")
    bench.fail_load(RunnerId(2))
    world = bench.core._world
    step = Step(bench.at, 99, bench.limits, world.deadlines)
    bench.core._driver.fire_service(ServiceTrigger.OPENED, step)
    request = Request(
        events.RequestArrived(request=waiting, model="b", key=key_of("b"), wanted=None, sizes=None), 1, at=0
    )  # type: ignore[arg-type]  # never looked at
    bench.core._driver.fire_request(request, RequestTrigger.LEASE_ENDED, step)
    assert [type(effect) for effect in step.effects] == [effects.ReportIgnored, effects.ReportIllegal]
    assert bench.runner(ONE).state == "ready"
