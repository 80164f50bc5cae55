"""Requests: granted, placed, retried, refused, ended by two facts."""

from collections.abc import Callable

import pytest

from statemachines import effects, events
from statemachines.errors import RefusalCode
from statemachines.events import LeaseOutcome
from statemachines.facts import LoadOptions
from statemachines.units import GIB, NS_PER_S, LeaseId, RequestId, RunnerId
from tests.statemachines.bench import Bench, key_of


def test_a_request_for_a_ready_model_is_granted_in_the_step_in_which_it_arrives() -> None:
    bench = Bench()
    runner = bench.ready("a")
    request = bench.ask("a")
    (grant,) = bench.now(effects.GrantLease)
    assert (grant.request, grant.runner, grant.waited_load) == (request, runner, None)


def test_a_request_that_had_to_wait_for_a_load_is_told_which() -> None:
    bench = Bench()
    bench.ask("a")
    spawn = bench.last_spawn()
    bench.load(spawn.runner)
    assert bench.now(effects.GrantLease)[0].waited_load == spawn.load


def test_requests_wait_for_a_slot_in_order_and_say_so() -> None:
    bench = Bench()
    bench.ready("a")
    first, second, third = (bench.ask("a") for _ in range(3))
    assert [bench.request(request).position for request in (second, third)] == [0, 1]
    cause = bench.request(third).cause
    assert cause is not None
    assert (cause.cause, cause.holders) == ("slot", (f"request {first}",))
    assert "every slot" in cause.words
    bench.answer(first)
    assert bench.request(second).state == "leased"
    assert bench.request(third).position == 0


def test_a_runner_with_more_slots_serves_as_many_at_once() -> None:
    bench = Bench()
    first, second, third = (bench.ask("a") for _ in range(3))
    bench.load(bench.last_spawn().runner, slots=2)
    assert [bench.request(request).state for request in (first, second, third)] == ["leased", "leased", "waiting"]
    bench.answer(first)
    assert bench.runner(RunnerId(1)).expires_at is None
    assert bench.request(third).state == "leased"


def test_b13_a_lease_ends_once_and_a_second_end_is_dropped_and_counted() -> None:
    bench = Bench()
    bench.ready("a")
    request = bench.ask("a")
    lease = bench.lease_of(request)
    bench.end(lease)
    bench.end(lease)
    assert bench.core.snapshot().counters["ignored_lease_over"] == 1


def test_a_lease_end_with_another_runners_id_frees_nothing() -> None:
    bench = Bench()
    bench.ready("a")
    request = bench.ask("a")
    bench.end(bench.lease_of(request), runner=RunnerId(99))
    assert bench.request(request).state == "leased"


def test_b13_a_load_that_fails_leaves_no_lease_behind() -> None:
    bench = Bench()
    request = bench.ask("a")
    bench.fail_load(bench.last_spawn().runner)
    assert bench.refusal_of(request).code is RefusalCode.LOAD_FAILED
    assert bench.all(effects.GrantLease) == []
    assert bench.core.snapshot().requests == ()


LOSSES: dict[str, Callable[[Bench, RunnerId], object]] = {
    "it fails": lambda bench, runner: bench.fail_load(runner),
    "its process cannot be started": lambda bench, runner: bench.give(events.SpawnFailed(runner=runner, message="no")),
    "its process ends": lambda bench, runner: bench.exit(runner, -9),
    "its link ends": lambda bench, runner: bench.give(events.LinkLost(runner=runner, message="no")),
    "it makes no progress": lambda bench, runner: bench.pass_time(bench.limits.load_stall_ns),
    "the operator ends it": lambda bench, runner: bench.give(events.OperatorStop(key=key_of("a"), force=True)),
    "its last client leaves": lambda bench, runner: bench.finish(RequestId(1)),
}


@pytest.mark.parametrize("lose", LOSSES.values(), ids=LOSSES)
def test_b13_a_load_that_ends_early_leaves_no_lease_behind(lose: Callable[[Bench, RunnerId], object]) -> None:
    bench = Bench(load_attempts_max=1, load_grace_ns=0)
    request = bench.ask("a")
    lose(bench, RunnerId(1))
    bench.pass_time(0)
    assert bench.runner(RunnerId(1)).state != "loading"
    bench.load(RunnerId(1))  # too late
    assert bench.all(effects.GrantLease) == []
    assert all(runner.leases == () for runner in bench.core.snapshot().runners)
    bench.finish(request)
    bench.exit(RunnerId(1))
    assert bench.core.snapshot().requests == ()
    assert bench.core.snapshot().loads == ()


@pytest.mark.parametrize("handler_first", [False, True])
def test_two_facts_end_a_request_in_either_order(handler_first: bool) -> None:
    bench = Bench()
    bench.ready("a")
    request = bench.ask("a")
    lease = bench.lease_of(request)
    if handler_first:
        bench.finish(request)
        assert bench.now(effects.CancelLease)[0].lease == lease
        assert bench.cause(request) == "lease_end"
        assert bench.request(request).deadline is not None
        assert bench.runner(RunnerId(1)).leases[0].is_cancelled
        bench.end(lease, LeaseOutcome.CANCELLED)
    else:
        bench.end(lease)
        assert bench.cause(request) == "handler_end"
        bench.finish(request)
    assert bench.core.snapshot().requests == ()


def test_a_crash_after_the_handler_is_done_just_ends_the_request() -> None:
    bench = Bench()
    bench.ready("a")
    request = bench.ask("a")
    bench.finish(request)
    bench.end(bench.lease_of(request), LeaseOutcome.CRASHED)
    assert bench.core.snapshot().requests == ()
    assert bench.all(effects.RefuseRequest) == []


def test_a_handler_that_says_twice_that_it_is_done_is_heard_once() -> None:
    bench = Bench()
    bench.ready("a")
    request = bench.ask("a")
    bench.finish(request)
    bench.finish(request)
    assert bench.now(effects.ReportIgnored)[0].reason.startswith("doubled")
    bench.end(bench.lease_of(request), LeaseOutcome.CANCELLED)
    bench.finish(request)
    assert bench.core.snapshot().counters["ignored_request_over"] == 1


def test_a_request_id_that_comes_twice_is_taken_once() -> None:
    bench = Bench()
    bench.ask("a")
    bench._requests = 0
    bench.ask("a")
    assert len(bench.core.snapshot().requests) == 1
    assert bench.core.snapshot().counters["ignored_request_doubled"] == 1


def test_a_client_that_leaves_while_it_waits_changes_nothing_for_the_others() -> None:
    bench = Bench()
    bench.ready("a")
    first, second, third = (bench.ask("a") for _ in range(3))
    bench.finish(second)
    bench.answer(first)
    assert bench.request(third).state == "leased"


def test_the_queue_is_bounded_and_a_request_that_needs_no_wait_passes_it() -> None:
    bench = Bench(queue_len_max=1)
    bench.ready("a")
    first, waiting, one_too_many = (bench.ask("a") for _ in range(3))
    assert bench.refusal_of(one_too_many).code is RefusalCode.QUEUE_FULL
    assert bench.request(waiting).state == "waiting"
    bench.answer(first)
    bench.answer(waiting)
    bench.ask("b")
    assert bench.request(bench.ask("a")).state == "leased"


def test_who_finds_the_queue_full_is_told_to_come_back_at_the_pace_of_the_queue() -> None:
    bench = Bench(queue_len_max=3)
    bench.ready("a")
    leased, *waiting = (bench.ask("a") for _ in range(4))
    for request in (leased, *waiting):
        bench.pass_time(6 * NS_PER_S)
        assert bench.refusal_of(bench.ask("a")).retry_hint_s == 6
        bench.answer(request)
        bench.ask("a")


def test_a_wait_that_ends_before_its_cause_says_when_the_cause_ends() -> None:
    bench = Bench(wait_ns=7 * NS_PER_S, retry_backoff_ns=20 * NS_PER_S)
    waiting = bench.ask("a")
    bench.give(events.SpawnFailed(runner=bench.last_spawn().runner, message="no"))
    bench.pass_time(7 * NS_PER_S)
    refusal = bench.refusal_of(waiting)
    assert (refusal.code, refusal.retry_hint_s) == (RefusalCode.WAITED_TOO_LONG, 13)


def test_a_wait_ends_at_its_deadline_with_its_cause_in_the_refusal() -> None:
    bench = Bench(wait_ns=7 * NS_PER_S)
    bench.ready("a")
    bench.ask("a")
    waiting = bench.ask("a")
    bench.pass_time(7 * NS_PER_S)
    refusal = bench.refusal_of(waiting)
    assert (refusal.code, refusal.status_hint) == (RefusalCode.WAITED_TOO_LONG, 503)
    assert "every slot of the model's runner is taken (request 2)" in refusal.message
    bench.finish(waiting)
    assert bench.core.snapshot().counters["ignored_request_over"] == 1


def test_a_request_lost_with_nothing_sent_is_tried_once_more_before_those_who_came_later() -> None:
    bench = Bench()
    runner = bench.ready("a")
    lost = bench.ask("a")
    later = bench.ask("a")
    bench.end(bench.lease_of(lost), LeaseOutcome.CRASHED, sent=False)
    assert bench.now(effects.KillRunner)[0].runner == runner
    assert bench.cause(lost) == "loading"
    bench.exit(runner, -6)
    bench.load(bench.last_spawn().runner)
    assert bench.request(lost).state == "leased"
    assert bench.request(later).position == 0
    bench.end(bench.lease_of(lost), LeaseOutcome.CRASHED, sent=False)
    assert bench.refusal_of(lost).code is RefusalCode.RUNNER_CRASHED
    assert bench.request(lost).state == "releasing"


def test_a_request_lost_after_something_was_sent_is_told_so() -> None:
    bench = Bench()
    bench.ready("a")
    request = bench.ask("a")
    bench.end(bench.lease_of(request), LeaseOutcome.CRASHED, sent=True)
    assert bench.refusal_of(request).code is RefusalCode.RUNNER_CRASHED
    bench.finish(request)
    assert bench.core.snapshot().requests == ()


@pytest.mark.parametrize("sent", [False, True])
def test_b04_a_request_lost_because_memory_ran_out_is_told_the_sums_and_not_tried_again(sent: bool) -> None:
    bench = Bench()
    runner = bench.ready("a")
    request = bench.ask("a")
    bound = events.MemoryBound(GIB, "of its control group")
    lost = events.LeaseEnded(
        runner=runner, lease=bench.lease_of(request), outcome=LeaseOutcome.OUT_OF_MEMORY, sent=sent, bound=bound
    )
    bench.give(lost)
    refusal = bench.refusal_of(request)
    assert (refusal.code, refusal.status_hint, refusal.retry_hint_s) == (RefusalCode.OUT_OF_MEMORY, 503, 30)
    assert refusal.message.startswith("memory ran out while the model answered, and its runner was ended: it holds")
    assert "may have at most 1.0 GiB, a limit of its control group" in refusal.message
    assert bench.request(request).state == "releasing"


def test_b04_an_exit_that_takes_leases_with_it_tells_them_why() -> None:
    bench = Bench()
    runner = bench.ready("a")
    request = bench.ask("a")
    bench.give(events.ProcessExited(runner=runner, exit=events.Exit(-9, was_out_of_memory=True)))
    assert bench.refusal_of(request).code is RefusalCode.OUT_OF_MEMORY


def test_a_lease_cancelled_for_a_stalled_client_is_explained() -> None:
    bench = Bench()
    bench.ready("a")
    request = bench.ask("a")
    bench.end(bench.lease_of(request), LeaseOutcome.CANCELLED)
    assert bench.refusal_of(request).code is RefusalCode.CLIENT_STALLED


def test_a_process_that_takes_its_leases_with_it_loses_them() -> None:
    bench = Bench()
    runner = bench.ready("a")
    request = bench.ask("a")
    bench.exit(runner, -9)
    assert bench.refusal_of(request).code is RefusalCode.RUNNER_CRASHED
    assert bench.runner(runner).state == "dead"
    assert bench.runner(runner).leases == ()


def test_a_runner_that_goes_on_with_a_cancelled_lease_is_wedged_and_one_in_a_long_step_is_not() -> None:
    bench = Bench(cancel_ack_ns=NS_PER_S)
    runner = bench.ready("a")
    request = bench.ask("a")
    bench.give(events.RunnerBeat(runner=runner, step=5, progress=1))
    bench.finish(request)
    bench.pass_time(2 * NS_PER_S)
    assert bench.runner(runner).state == "ready"
    bench.give(events.RunnerBeat(runner=runner, step=6, progress=2))
    bench.pass_time(NS_PER_S)
    assert bench.runner(runner).stage == "killing"


def test_cores_follow_the_grants() -> None:
    bench = Bench(cpu_threads=2)
    a = bench.ready("a")
    assert bench.all(effects.SetThreads) == [effects.SetThreads(a, 2)]
    b = bench.ready("b")
    bench.give(events.ThreadsChanged(runner=a, threads=2))
    bench.ask("a")
    bench.ask("b")
    assert effects.SetThreads(b, 1) in bench.now(effects.SetThreads)
    assert bench.runner(b).threads == 1


def test_two_clients_with_other_options_do_not_starve_each_other() -> None:
    bench = Bench()
    runner = bench.ready("a")
    held = bench.ask("a")
    larger = bench.ask("a", num_ctx=8192)
    smaller_later = bench.ask("a", num_ctx=4096)
    embedding = bench.ask("a", wanted=LoadOptions(4096, cache_type="q8_0"))
    assert bench.cause(larger) == "key"
    assert bench.runner(runner).fence == bench.request(larger).load
    assert bench.request(smaller_later).load == bench.request(larger).load
    assert bench.cause(embedding) == "behind_load"
    assert bench.request(embedding).position == 2
    bench.answer(held)
    assert bench.runner(runner).state == "unloading"
    bench.load(bench.last_spawn().runner)
    assert bench.request(larger).state == "leased"
    assert bench.cause(embedding) == "earlier_requests"


def test_an_unknown_lease_is_nobodys() -> None:
    bench = Bench()
    bench.give(events.LeaseEnded(runner=RunnerId(1), lease=LeaseId(1), outcome=LeaseOutcome.FINISHED, sent=True))
    bench.finish(RequestId(77))
    assert bench.core.snapshot().counters == {"ignored_lease_over": 1, "ignored_request_over": 1}


def test_b22_keep_alive_explicit_replaces_and_omitted_keeps() -> None:
    """Rows: what the first and the later request say, and what counts after each."""
    default, ten, twenty = 300 * NS_PER_S, 10 * NS_PER_S, 20 * NS_PER_S
    for first, later, expected in [
        (None, None, (default, default)),
        (ten, None, (ten, ten)),
        (None, twenty, (default, twenty)),
        (ten, twenty, (ten, twenty)),
        (0, None, (0, 0)),
    ]:
        bench = Bench()
        request = bench.ask("a", keep_alive_ns=first)
        runner = bench.last_spawn().runner
        bench.load(runner)
        assert bench.runner(runner).keep_alive_ns == expected[0]
        waiting = bench.ask("a", keep_alive_ns=later)
        bench.answer(request)
        assert bench.runner(runner).keep_alive_ns == expected[1]
        assert bench.request(waiting).state == "leased"


def test_the_operator_clamps_keep_alive() -> None:
    bench = Bench(keep_alive_max_ns=5 * NS_PER_S)
    runner = bench.ready("a")
    assert bench.runner(runner).keep_alive_ns == 5 * NS_PER_S
    bench.answer(bench.ask("a", keep_alive_ns=(1 << 63) - 1))
    assert bench.runner(runner).keep_alive_ns == 5 * NS_PER_S


def test_an_operators_stop_outranks_the_keep_alive_of_whoever_came_before_it() -> None:
    bench = Bench()
    runner = bench.ready("a")
    first = bench.ask("a")
    before = bench.ask("a", keep_alive_ns=(1 << 63) - 1)
    bench.give(events.OperatorStop(key=key_of("a")))
    bench.answer(first)
    assert bench.request(before).state == "leased"
    assert bench.runner(runner).keep_alive_ns == 0
    after = bench.ask("a", keep_alive_ns=NS_PER_S)
    bench.answer(before)
    assert bench.runner(runner).keep_alive_ns == NS_PER_S
    bench.answer(after)


def test_requests_are_refused_before_the_service_opens() -> None:
    bench = Bench(is_open=False)
    assert bench.refusal_of(bench.ask("a")).code is RefusalCode.NOT_READY
