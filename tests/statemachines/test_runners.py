"""Runners: keep-alive, stopping by rungs, operators, replaced files, shutdown, and cells of the matrix."""

import pytest

from statemachines import effects, events
from statemachines.entities import Request
from statemachines.errors import InternalError, RefusalCode
from statemachines.events import LeaseOutcome
from statemachines.lifecycle import ServiceTrigger
from statemachines.request import RequestTrigger
from statemachines.step import Step
from statemachines.units import FOREVER_NS, GIB, NS_PER_S, DeviceId, LeaseId, RunnerId
from tests.statemachines.bench import Bench, key_of

ONE = RunnerId(1)


def test_an_idle_runner_leaves_when_its_keep_alive_is_over() -> None:
    bench = Bench()
    bench.ready("a", keep_alive_ns=5 * NS_PER_S)
    assert bench.runner(ONE).expires_at == bench.at + 5 * NS_PER_S
    bench.pass_time(5 * NS_PER_S)
    assert bench.runner(ONE).stage == "terminating"
    assert bench.now(effects.TerminateRunner) == [effects.TerminateRunner(ONE)]


def test_a_request_stops_the_keep_alive_and_its_end_starts_it_anew() -> None:
    bench = Bench()
    bench.ready("a", keep_alive_ns=5 * NS_PER_S)
    bench.pass_time(4 * NS_PER_S)
    request = bench.ask("a")
    assert bench.runner(ONE).expires_at is None
    bench.pass_time(20 * NS_PER_S)
    bench.answer(request)
    assert bench.runner(ONE).expires_at == bench.at + 5 * NS_PER_S


def test_keep_alive_zero_unloads_when_idle_and_for_ever_never_does() -> None:
    bench = Bench()
    bench.ready("a", keep_alive_ns=0)
    bench.pass_time(0)
    assert bench.runner(ONE).state == "unloading"
    other = bench.ready("b", keep_alive_ns=FOREVER_NS)
    assert bench.runner(other).expires_at is None
    bench.pass_time(10**6 * NS_PER_S)
    assert bench.runner(other).state == "ready"


def test_slots_are_handed_on_before_idleness_is_judged() -> None:
    bench = Bench()
    bench.ready("a", keep_alive_ns=FOREVER_NS)
    first = bench.ask("a", keep_alive_ns=0)
    second = bench.ask("a")
    bench.answer(first)
    assert bench.request(second).state == "leased"
    bench.pass_time(0)
    assert bench.runner(ONE).state == "ready"


def test_stopping_goes_by_rungs_each_with_a_deadline_and_ends_unreapable() -> None:
    bench = Bench(stop_grace_ns=NS_PER_S, kill_grace_ns=2 * NS_PER_S)
    bench.ready("a", keep_alive_ns=0)
    bench.pass_time(0)
    assert [deadline.name for deadline in bench.runner(ONE).deadlines] == ["term"]
    bench.pass_time(NS_PER_S)
    assert bench.runner(ONE).stage == "killing"
    assert [deadline.name for deadline in bench.runner(ONE).deadlines] == ["kill"]
    bench.pass_time(2 * NS_PER_S)
    view = bench.runner(ONE)
    assert (view.state, view.stage, view.deadlines) == ("unloading", "unreapable", ())
    assert bench.core.snapshot().devices[0].used_bytes > 0
    bench.exit(ONE, -9)
    assert bench.runner(ONE).state == "dead"
    assert bench.core.snapshot().devices[0].used_bytes == 0


def test_an_unreapable_runner_still_counts_as_a_runner_and_nobody_waits_for_it_to_leave() -> None:
    bench = Bench(runners_max=1, stop_grace_ns=0, kill_grace_ns=0)
    bench.ready("a", keep_alive_ns=0)
    bench.pass_time(0)
    assert bench.runner(ONE).stage == "unreapable"
    request = bench.ask("b")
    assert bench.cause(request) == "runner_place"
    bench.exit(ONE, -9)
    assert bench.last_spawn().model == "b"


def test_an_operators_stop_unloads_an_idle_runner_and_lets_a_busy_one_finish() -> None:
    bench = Bench()
    bench.ready("a", keep_alive_ns=FOREVER_NS)
    request = bench.ask("a")
    bench.give(events.OperatorStop(key=key_of("a")))
    assert bench.runner(ONE).state == "ready"
    bench.answer(request)
    bench.pass_time(0)
    assert bench.runner(ONE).state == "unloading"
    bench.give(events.OperatorStop(key=key_of("a")))
    assert bench.now(effects.ReportIgnored)[0].trigger == "OperatorStop"


def test_an_operators_stop_of_what_is_not_there_is_nothing() -> None:
    bench = Bench()
    assert bench.give(events.OperatorStop(key=key_of("a"))) == ()
    assert bench.give(events.OperatorStop(key=key_of("a"), force=True)) == ()


def test_an_operators_stop_of_an_idle_runner_acts_at_once() -> None:
    bench = Bench()
    bench.ready("a")
    bench.give(events.OperatorStop(key=key_of("a")))
    bench.pass_time(0)
    assert bench.runner(ONE).state == "unloading"


def test_an_operators_stop_while_loading_serves_who_waits_and_then_unloads() -> None:
    bench = Bench()
    request = bench.ask("a", keep_alive_ns=FOREVER_NS)
    bench.give(events.OperatorStop(key=key_of("a")))
    bench.load(ONE)
    assert bench.request(request).state == "leased"
    bench.answer(request)
    bench.pass_time(0)
    assert bench.runner(ONE).state == "unloading"


def test_force_gives_leases_a_limit_then_cancels_them_and_terminates() -> None:
    bench = Bench(drain_ns=3 * NS_PER_S)
    bench.ready("a")
    request = bench.ask("a")
    waiting = bench.ask("a")
    bench.give(events.OperatorStop(key=key_of("a"), force=True))
    assert bench.runner(ONE).stage == "draining"
    assert bench.refusal_of(waiting).code is RefusalCode.STOPPED_BY_OPERATOR
    bench.pass_time(3 * NS_PER_S)
    lease = bench.lease_of(request)
    assert bench.now(effects.CancelLease) == [effects.CancelLease(lease, ONE)]
    assert bench.runner(ONE).stage == "terminating"
    bench.end(lease, LeaseOutcome.CANCELLED)
    assert bench.refusal_of(request).code is RefusalCode.STOPPED_BY_OPERATOR


def test_a_lease_lost_to_force_is_not_tried_again() -> None:
    bench = Bench()
    bench.ready("a")
    request = bench.ask("a")
    bench.give(events.OperatorStop(key=key_of("a"), force=True))
    bench.give(events.OperatorStop(key=key_of("a"), force=True))
    assert bench.runner(ONE).stage == "killing"
    bench.end(bench.lease_of(request), LeaseOutcome.CRASHED, sent=False)
    assert bench.refusal_of(request).code is RefusalCode.STOPPED_BY_OPERATOR


def test_a_drained_runner_is_terminated_when_its_last_lease_ends() -> None:
    bench = Bench()
    first, second = bench.ask("a"), bench.ask("a")
    bench.load(ONE, slots=2)
    bench.give(events.OperatorStop(key=key_of("a"), force=True))
    bench.answer(first)
    assert bench.runner(ONE).stage == "draining"
    bench.answer(second)
    assert bench.runner(ONE).stage == "terminating"


def test_force_ends_an_idle_runner_and_a_load_with_its_claimants() -> None:
    bench = Bench(loads_parallel_max=1)
    bench.ready("a")
    bench.give(events.OperatorStop(key=key_of("a"), force=True))
    assert bench.runner(ONE).stage == "terminating"
    starting, waiting = bench.ask("b"), bench.ask("c")
    bench.give(events.OperatorStop(key=key_of("c"), force=True))
    bench.give(events.OperatorStop(key=key_of("b"), force=True))
    for request in (starting, waiting):
        assert bench.refusal_of(request).code is RefusalCode.STOPPED_BY_OPERATOR
    assert bench.runner(RunnerId(2)).stage == "killing"


def test_a_replaced_file_answers_who_is_being_answered_and_nobody_else() -> None:
    bench = Bench()
    bench.ready("a", keep_alive_ns=FOREVER_NS)
    leased, waiting = bench.ask("a"), bench.ask("a")
    bench.give(events.ModelReplaced(key=key_of("a")))
    assert bench.refusal_of(waiting).code is RefusalCode.MODEL_REPLACED
    late = bench.ask("a")
    assert bench.refusal_of(late).code is RefusalCode.MODEL_REPLACED
    assert bench.request(leased).state == "leased"
    bench.answer(leased)
    bench.pass_time(0)
    assert bench.runner(ONE).state == "unloading"


def test_a_file_replaced_while_it_loads_ends_that_load() -> None:
    bench = Bench(loads_parallel_max=1)
    starting, waiting = bench.ask("a"), bench.ask("b")
    bench.give(events.ModelReplaced(key=key_of("b")))
    bench.give(events.ModelReplaced(key=key_of("a")))
    for request in (starting, waiting):
        assert bench.refusal_of(request).code is RefusalCode.MODEL_REPLACED
    assert bench.runner(ONE).state == "unloading"


def test_shutdown_refuses_withdraws_drains_and_ends() -> None:
    bench = Bench(loads_parallel_max=1, shutdown_drain_ns=4 * NS_PER_S)
    bench.ready("a")
    leased, slotless = bench.ask("a"), bench.ask("a")
    starting, waiting = bench.ask("b"), bench.ask("c")
    bench.give(events.ShutdownOrdered())
    for request in (slotless, starting, waiting, bench.ask("d")):
        assert bench.refusal_of(request).code is RefusalCode.DRAINING
    assert (bench.runner(ONE).stage, bench.runner(RunnerId(2)).stage) == ("draining", "killing")
    bench.give(events.ShutdownOrdered())
    assert bench.now(effects.ReportIgnored)[0].reason == "it is stopping already"
    bench.exit(RunnerId(2), -9)
    bench.pass_time(4 * NS_PER_S)
    bench.end(bench.lease_of(leased), LeaseOutcome.CANCELLED)
    assert bench.refusal_of(leased).code is RefusalCode.DRAINING
    bench.exit(ONE)
    assert bench.now(effects.FinishShutdown) == [effects.FinishShutdown(())]
    assert bench.core.snapshot().service == "stopped"


def _due(bench: Bench, runner: RunnerId, name: str) -> int:
    return next(deadline.due for deadline in bench.runner(runner).deadlines if deadline.name == name)


def test_shutdown_shortens_a_longer_drain_and_leaves_a_shorter_one() -> None:
    bench = Bench(drain_ns=30 * NS_PER_S, shutdown_drain_ns=10 * NS_PER_S)
    for model in ("a", "b"):
        bench.ready(model)
        bench.ask(model)
    bench.give(events.OperatorStop(key=key_of("a"), force=True))
    bench.pass_time(25 * NS_PER_S)
    bench.give(events.OperatorStop(key=key_of("b"), force=True))
    bench.give(events.ShutdownOrdered())
    dues = [_due(bench, RunnerId(runner), "drain") - bench.at for runner in (1, 2)]
    assert dues == [5 * NS_PER_S, 10 * NS_PER_S]


def test_shutdown_leaves_a_runner_that_is_ending_already_alone() -> None:
    bench = Bench()
    bench.ready("a", keep_alive_ns=0)
    bench.pass_time(0)
    due = bench.runner(ONE).deadlines
    bench.give(events.ShutdownOrdered())
    assert bench.runner(ONE).deadlines == due


def test_a_second_shutdown_kills_at_once_and_a_third_changes_nothing() -> None:
    bench = Bench()
    bench.ready("b")
    bench.ready("a")
    bench.ask("a")
    bench.give(events.ShutdownOrdered())
    assert [bench.runner(RunnerId(runner)).stage for runner in (1, 2)] == ["terminating", "draining"]
    bench.give(events.ShutdownOrdered(force=True))
    assert {effect.runner for effect in bench.now(effects.KillRunner)} == {1, 2}
    dues = [bench.runner(RunnerId(runner)).deadlines for runner in (1, 2)]
    bench.pass_time(NS_PER_S)
    bench.give(events.ShutdownOrdered(force=True))
    bench.give(events.LinkLost(runner=ONE, message="end"))
    assert [bench.runner(RunnerId(runner)).deadlines for runner in (1, 2)] == dues


def test_a_first_shutdown_may_be_the_forced_one() -> None:
    bench = Bench()
    bench.ready("a")
    bench.ask("b")
    bench.give(events.ShutdownOrdered(force=True))
    assert {effect.runner for effect in bench.now(effects.KillRunner)} == {1, 2}


def test_nothing_is_tried_again_while_the_service_stops() -> None:
    bench = Bench()
    bench.ready("a")
    request = bench.ask("a")
    bench.give(events.LinkLost(runner=ONE, message="end"))
    bench.give(events.ShutdownOrdered())
    bench.end(bench.lease_of(request), LeaseOutcome.CRASHED, sent=False)
    assert bench.refusal_of(request).code is RefusalCode.DRAINING
    assert len(bench.all(effects.SpawnRunner)) == 1


def test_an_unreapable_process_that_loses_its_link_stays_unreapable() -> None:
    bench = Bench(stop_grace_ns=0, kill_grace_ns=0)
    bench.ready("a", keep_alive_ns=0)
    bench.pass_time(0)
    bench.give(events.LinkLost(runner=ONE, message="end"))
    assert bench.runner(ONE).stage == "unreapable"


def test_somebody_else_makes_room_when_a_process_turns_out_unreapable() -> None:
    bench = Bench(runners_max=2, stop_grace_ns=0, kill_grace_ns=NS_PER_S)
    bench.ready("a")
    other = bench.ready("b")
    request = bench.ask("c")
    assert bench.runner(ONE).state == "unloading"
    bench.pass_time(2 * NS_PER_S)
    assert bench.runner(ONE).stage == "unreapable"
    assert bench.runner(other).state == "unloading"
    bench.exit(other)
    assert bench.request(request).cause is not None
    assert bench.last_spawn().model == "c"


def test_a_cancel_limit_of_zero_asks_again_and_again_and_hangs_nobody() -> None:
    bench = Bench(cancel_ack_ns=0)
    bench.ready("a")
    bench.finish(bench.ask("a"))
    bench.give(events.DeadlineReached())
    assert bench.runner(ONE).state == "ready"


def test_an_operators_stop_counts_although_the_runner_is_not_born_yet() -> None:
    bench = Bench(loads_parallel_max=1)
    bench.ask("z")
    before = bench.ask("a", keep_alive_ns=FOREVER_NS)
    bench.give(events.OperatorStop(key=key_of("a")))
    bench.load(ONE)
    runner = bench.last_spawn().runner
    bench.load(runner)
    bench.answer(before)
    bench.pass_time(0)
    assert bench.runner(runner).state == "unloading"


def test_an_operators_stop_counts_although_the_first_try_is_lost() -> None:
    bench = Bench()
    before = bench.ask("a", keep_alive_ns=FOREVER_NS)
    bench.give(events.OperatorStop(key=key_of("a")))
    bench.exit(ONE, 1)
    bench.pass_time(NS_PER_S)
    after = bench.ask("a")
    second = bench.last_spawn().runner
    bench.load(second)
    bench.answer(before)
    assert bench.runner(second).keep_alive_ns == 0
    bench.answer(after)


def test_who_comes_after_a_stop_gets_the_default_keep_alive_of_the_load_he_waits_for() -> None:
    bench = Bench(loads_parallel_max=1)
    bench.ask("z")
    bench.ask("a", keep_alive_ns=FOREVER_NS)
    bench.give(events.OperatorStop(key=key_of("a")))
    bench.ask("a")
    bench.load(ONE)
    runner = bench.last_spawn().runner
    bench.load(runner)
    assert bench.runner(runner).keep_alive_ns == bench.limits.keep_alive_default_ns


def test_shutdown_ends_although_a_process_cannot_be_reaped() -> None:
    bench = Bench(kill_grace_ns=NS_PER_S)
    bench.ready("a")
    bench.give(events.ShutdownOrdered(force=True))
    bench.pass_time(NS_PER_S)
    assert bench.now(effects.FinishShutdown) == [effects.FinishShutdown((ONE,))]
    bench.give(events.ShutdownOrdered())
    assert bench.now(effects.ReportIgnored)[0].reason == "it has stopped"


def test_shutdown_before_the_service_opened_ends_too() -> None:
    bench = Bench(is_open=False)
    bench.give(events.ShutdownOrdered())
    assert bench.now(effects.FinishShutdown) == [effects.FinishShutdown(())]
    bench.give(events.ServiceOpened())
    assert bench.core.snapshot().service == "stopped"


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


def test_an_operators_stop_counts_for_a_request_that_is_tried_again() -> None:
    bench = Bench()
    request = bench.ask("a", keep_alive_ns=FOREVER_NS)
    bench.load(ONE)
    bench.give(events.OperatorStop(key=key_of("a")))
    bench.end(bench.lease_of(request), LeaseOutcome.CRASHED, sent=False)
    bench.exit(ONE, -6)
    second = bench.last_spawn().runner
    bench.load(second)
    bench.answer(request)
    bench.pass_time(0)
    assert bench.runner(second).state == "unloading"


def test_a_lease_lost_on_a_replaced_file_is_not_tried_again_with_the_old_one() -> None:
    bench = Bench()
    bench.ready("a")
    request = bench.ask("a")
    bench.give(events.ModelReplaced(key=key_of("a")))
    bench.end(bench.lease_of(request), LeaseOutcome.CRASHED, sent=False)
    assert bench.refusal_of(request).code is RefusalCode.MODEL_REPLACED
    assert len(bench.all(effects.SpawnRunner)) == 1
