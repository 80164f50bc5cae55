"""The rungs of a stop: by an operator, by force, by a file that was replaced, and where even SIGKILL fails."""

from statemachines import effects, events
from statemachines.errors import RefusalCode
from statemachines.events import LeaseOutcome
from statemachines.units import FOREVER_NS, NS_PER_S, RunnerId
from tests.statemachines.bench import Bench, key_of

ONE = RunnerId(1)


def test_stopping_goes_by_rungs_each_with_a_deadline_and_ends_unreapable() -> None:
    bench = Bench(stop_grace_ns=NS_PER_S, kill_grace_ns=2 * NS_PER_S)
    bench.ready("a", keep_alive_ns=0)
    bench.pass_time(0)
    assert [deadline.name for deadline in bench.runner(ONE).deadlines] == ["term"]
    bench.pass_time(NS_PER_S)
    assert bench.runner(ONE).stage == "killing"
    assert [deadline.name for deadline in bench.runner(ONE).deadlines] == ["kill"]
    assert [(rung.stage, rung.trigger) for rung in bench.now(effects.ReportStage)] == [("killing", "TermLimit")]
    bench.pass_time(2 * NS_PER_S)
    assert [(rung.stage, rung.trigger) for rung in bench.now(effects.ReportStage)] == [("unreapable", "KillLimit")]
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
