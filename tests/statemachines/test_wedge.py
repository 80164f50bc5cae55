"""Rule 15: a busy runner shows what it gets done, or is replaced."""

from statemachines import events
from statemachines.errors import RefusalCode
from statemachines.events import LeaseOutcome
from statemachines.units import FOREVER_NS, NS_PER_S
from tests.statemachines.bench import Bench, key_of


def test_a_busy_runner_that_gets_nothing_done_is_killed_and_its_request_tried_again() -> None:
    bench = Bench(wedge_ns=60 * NS_PER_S)
    runner = bench.ready("a")
    request = bench.ask("a")
    bench.pass_time(60 * NS_PER_S - 1)
    assert bench.runner(runner).state == "ready"
    bench.pass_time(1)
    assert bench.runner(runner).stage == "killing"
    bench.end(bench.lease_of(request), LeaseOutcome.CRASHED, sent=False)
    bench.exit(runner, -9)
    bench.load(bench.last_spawn().runner)
    assert bench.granted(bench.lease_of(request)).runner != runner


def test_who_has_read_some_of_it_is_told_that_the_runner_was_wedged() -> None:
    bench = Bench(wedge_ns=60 * NS_PER_S)
    runner = bench.ready("a")
    request = bench.ask("a")
    bench.pass_time(60 * NS_PER_S)
    bench.end(bench.lease_of(request), LeaseOutcome.CRASHED, sent=True, runner=runner)
    refusal = bench.refusal_of(request)
    assert refusal.code is RefusalCode.RUNNER_WEDGED
    assert "wedge_s" in refusal.message


def test_every_proof_of_work_moves_the_wedge_deadline_and_a_doubled_one_does_not() -> None:
    bench = Bench(wedge_ns=10 * NS_PER_S)
    runner = bench.ready("a")
    bench.ask("a")
    bench.pass_time(9 * NS_PER_S)
    bench.give(events.RunnerBeat(runner=runner, step=1, progress=7))
    bench.pass_time(9 * NS_PER_S)
    assert bench.runner(runner).state == "ready"
    bench.give(events.RunnerBeat(runner=runner, step=1, progress=7))
    bench.pass_time(1 * NS_PER_S)
    assert bench.runner(runner).stage == "killing"


def test_an_idle_runner_is_never_wedged() -> None:
    bench = Bench(wedge_ns=NS_PER_S, keep_alive_default_ns=FOREVER_NS)
    runner = bench.ready("a")
    bench.give(events.RunnerBeat(runner=runner, step=1, progress=1))
    bench.pass_time(100 * NS_PER_S)
    assert bench.runner(runner).state == "ready"


def test_the_watch_starts_anew_with_each_first_lease_and_not_with_a_second_one() -> None:
    bench = Bench(wedge_ns=10 * NS_PER_S)
    runner = bench.ready("a")
    first = bench.ask("a")
    bench.pass_time(9 * NS_PER_S)
    bench.answer(first)
    bench.ask("a")
    bench.pass_time(9 * NS_PER_S)
    assert bench.runner(runner).state == "ready"
    two_slots = Bench(wedge_ns=10 * NS_PER_S)
    two_slots.ask("a")
    runner = two_slots.last_spawn().runner
    two_slots.load(runner, slots=2)
    two_slots.pass_time(9 * NS_PER_S)
    two_slots.ask("a")
    two_slots.pass_time(NS_PER_S)
    assert two_slots.runner(runner).stage == "killing"


def test_a_runner_that_drains_is_watched_like_any_other() -> None:
    bench = Bench(wedge_ns=10 * NS_PER_S, drain_ns=30 * NS_PER_S)
    runner = bench.ready("a")
    bench.ask("a")
    bench.give(events.OperatorStop(key=key_of("a"), force=True))
    assert bench.runner(runner).stage == "draining"
    bench.pass_time(10 * NS_PER_S)
    assert bench.runner(runner).stage == "killing"


def test_the_time_that_our_own_loop_stood_still_is_given_back_to_the_runner() -> None:
    bench = Bench(wedge_ns=10 * NS_PER_S)
    runner = bench.ready("a")
    bench.ask("a")
    bench.at += 25 * NS_PER_S
    bench.give(events.DeadlineReached())
    assert bench.runner(runner).state == "ready"
    bench.pass_time(15 * NS_PER_S - 1)
    assert bench.runner(runner).state == "ready"
    bench.pass_time(1)
    assert bench.runner(runner).stage == "killing"


def test_so_it_is_to_a_runner_that_loads() -> None:
    bench = Bench(load_stall_ns=10 * NS_PER_S)
    bench.ask("a")
    runner = bench.last_spawn().runner
    bench.at += 25 * NS_PER_S
    bench.give(events.DeadlineReached())
    assert bench.runner(runner).state == "loading"
    bench.pass_time(15 * NS_PER_S)
    assert bench.runner(runner).stage == "killing"


def test_so_it_is_to_one_that_has_a_cancelled_lease_to_end() -> None:
    bench = Bench(cancel_ack_ns=10 * NS_PER_S)
    runner = bench.ready("a")
    request = bench.ask("a")
    bench.finish(request)
    bench.give(events.RunnerBeat(runner=runner, step=1, progress=1))
    bench.at += 25 * NS_PER_S
    bench.give(events.DeadlineReached())
    assert bench.runner(runner).state == "ready"
    bench.pass_time(15 * NS_PER_S)
    assert bench.runner(runner).stage == "killing"


def test_a_wedge_that_comes_when_the_runner_is_being_killed_changes_nothing() -> None:
    bench = Bench(wedge_ns=10 * NS_PER_S)
    runner = bench.ready("a")
    bench.ask("a")
    bench.give(events.LinkLost(runner=runner, message="gone"))
    assert bench.runner(runner).stage == "killing"
    assert "wedge" not in {deadline.name for deadline in bench.runner(runner).deadlines}
