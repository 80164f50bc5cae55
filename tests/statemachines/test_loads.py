"""Loads: single flight, order of bytes and places, grace, tries, fences, B11."""

import pytest

from statemachines import effects, events
from statemachines.errors import RefusalCode
from statemachines.facts import LoadFailure
from statemachines.units import GIB, HOST, MIB, NS_PER_S, LoadId, RunnerId
from tests.statemachines.bench import Bench, key_of, need_bytes

NEED = need_bytes(100 * MIB)


def test_many_requests_for_one_model_start_it_once() -> None:
    bench = Bench()
    for _ in range(5):
        bench.ask("a")
    assert len(bench.all(effects.SpawnRunner)) == 1


def test_b04_a_model_that_memory_cannot_take_is_refused_with_the_sums_and_nobody_is_unloaded() -> None:
    bench = Bench(memory_bytes=2 * NEED)
    idle = bench.ready("b")
    request = bench.ask("a", weight_bytes=40 * GIB)
    refusal = bench.refusal_of(request)
    assert bench.now(effects.SpawnRunner) == []
    assert (refusal.code, refusal.status_hint) == (RefusalCode.TOO_LARGE, 503)
    assert "the model needs 40" in refusal.message
    assert "weights 40.0 GiB" in refusal.message
    assert bench.runner(idle).state == "ready"


def test_an_idle_runner_makes_room_and_the_load_says_for_whom_it_waits() -> None:
    bench = Bench(memory_bytes=NEED + MIB)
    idle = bench.ready("b")
    request = bench.ask("a")
    assert bench.runner(idle).state == "unloading"
    cause = bench.request(request).cause
    assert cause is not None
    assert (cause.cause, cause.holders) == ("bytes", (f"runner {idle}",))
    bench.exit(idle)
    assert bench.last_spawn().model == "a"


def test_the_longest_idle_leaves_when_there_is_no_runner_place() -> None:
    bench = Bench(runners_max=2)
    old = bench.ready("b")
    bench.pass_time(NS_PER_S)
    young = bench.ready("c")
    request = bench.ask("a")
    assert (bench.runner(old).state, bench.runner(young).state) == ("unloading", "ready")
    assert bench.cause(request) == "runner_place"
    bench.exit(old)
    assert bench.last_spawn().model == "a"


def test_a_load_that_somebody_claims_is_not_killed_for_an_older_request_that_it_does_not_cover() -> None:
    bench = Bench()
    old = bench.ready("a")
    first = bench.ask("a", num_ctx=8192)
    older = bench.ask("a", num_ctx=16384)
    claimant = bench.ask("a", num_ctx=8192)
    loading = bench.last_spawn().runner
    bench.finish(first)
    bench.exit(old)
    assert bench.runner(loading).state == "loading"
    bench.load(loading)
    assert bench.request(claimant).state == "leased"
    assert bench.cause(older) == "key"


def test_an_abandoned_load_gives_way_at_once_to_those_who_wait_already() -> None:
    for limits in ({}, {"loads_parallel_max": 1}, {"runners_max": 1}):
        bench = Bench(**limits)
        abandoned, waiting = bench.ask("a"), bench.ask("b" if limits else "a", num_ctx=8192)
        bench.finish(abandoned)
        assert bench.runner(RunnerId(1)).state == "unloading", limits
        bench.exit(RunnerId(1))
        assert bench.last_spawn().load == bench.request(waiting).load


def test_a_grace_is_not_prolonged_by_whatever_happens_to_its_key() -> None:
    bench = Bench()
    bench.finish(bench.ask("a"))
    due = bench.open_load("a").deadlines
    bench.pass_time(NS_PER_S)
    bench.sample(64 * GIB)
    assert bench.open_load("a").deadlines == due


def test_a_runner_that_loaded_something_else_than_was_asked_for_is_a_failed_load() -> None:
    bench = Bench()
    request = bench.ask("a", num_ctx=8192)
    bench.load(RunnerId(1), context_tokens=4096)
    assert "other options" in bench.refusal_of(request).message
    assert bench.runner(RunnerId(1)).stage == "killing"


def test_the_next_load_may_start_beside_the_old_runner_if_the_bytes_are_there() -> None:
    bench = Bench()
    runner = bench.ready("a")
    bench.ask("a", num_ctx=8192)
    assert bench.runner(runner).state == "unloading"
    assert bench.last_spawn().runner != runner


def test_a_load_that_is_about_to_be_planned_says_so() -> None:
    bench = Bench(plans_per_step_max=0)
    assert bench.cause(bench.ask("a")) == "planning"


def test_the_last_claimant_of_a_waiting_load_withdraws_it() -> None:
    bench = Bench(loads_parallel_max=0)
    first, second = bench.ask("a"), bench.ask("a")
    bench.finish(first)
    assert bench.open_load("a").claimants == (second,)
    bench.finish(second)
    assert bench.core.snapshot().loads == ()


def test_a_starting_load_survives_its_claimants_for_its_grace_and_serves_who_comes_back() -> None:
    bench = Bench(load_grace_ns=5 * NS_PER_S)
    bench.finish(bench.ask("a"))
    (deadline,) = bench.open_load("a").deadlines
    assert (deadline.name, deadline.due) == ("grace", bench.at + 5 * NS_PER_S)
    again = bench.ask("a")
    assert bench.open_load("a").deadlines == ()
    bench.pass_time(6 * NS_PER_S)
    bench.load(RunnerId(1))
    assert bench.request(again).state == "leased"


def test_a_starting_load_that_nobody_wants_ends_with_its_grace() -> None:
    bench = Bench(load_grace_ns=5 * NS_PER_S)
    bench.finish(bench.ask("a"))
    bench.pass_time(5 * NS_PER_S)
    assert bench.runner(RunnerId(1)).state == "unloading"
    assert bench.core.snapshot().loads == ()
    bench.load(RunnerId(1))
    assert bench.runner(RunnerId(1)).state == "unloading"


def test_a_load_that_finishes_within_its_grace_takes_the_default_keep_alive() -> None:
    bench = Bench()
    bench.finish(bench.ask("a"))
    bench.load(RunnerId(1))
    assert bench.runner(RunnerId(1)).expires_at == bench.at + bench.limits.keep_alive_default_ns


def test_a_load_in_its_grace_yields_its_bytes_to_one_that_somebody_wants() -> None:
    bench = Bench(memory_bytes=NEED + MIB)
    bench.finish(bench.ask("a"))
    bench.ask("b")
    assert bench.runner(RunnerId(1)).state == "unloading"
    bench.exit(RunnerId(1))
    assert bench.last_spawn().model == "b"


def test_a_load_in_its_grace_yields_its_load_place() -> None:
    bench = Bench(loads_parallel_max=1)
    bench.finish(bench.ask("a"))
    bench.ask("b")
    assert bench.runner(RunnerId(1)).state == "unloading"
    assert bench.last_spawn().model == "b"


@pytest.mark.parametrize("load_grace_ns", [0, 30 * NS_PER_S])
def test_b11_two_unloads_in_flight_never_touch_the_new_runner(load_grace_ns: int) -> None:
    """A load is cancelled by its client, then the same model is asked for with other options."""
    bench = Bench(load_grace_ns=load_grace_ns)
    bench.finish(bench.ask("a"))
    if load_grace_ns == 0:
        bench.pass_time(0)
    wanted = bench.ask("a", num_ctx=8192)
    old, new = RunnerId(1), RunnerId(2)
    assert [effect.runner for effect in bench.all(effects.TerminateRunner)] == [old]
    for late in (
        events.LoadFailed(runner=old, kind=LoadFailure.ENGINE, message="interrupted"),
        events.LinkLost(runner=old, message="end"),
        events.ProcessExited(runner=old, exit=events.Exit(0)),
        events.ProcessExited(runner=old, exit=events.Exit(0)),
    ):
        bench.give(late)
        assert bench.runner(new).state == "loading"
    bench.load(new)
    assert bench.request(wanted).state == "leased"
    assert {effect.runner for effect in bench.all(effects.KillRunner)} <= {old}


def test_a_key_that_is_loading_is_never_ordered_a_second_time() -> None:
    bench = Bench()
    bench.ask("a")
    bench.ask("a", num_ctx=8192)
    bench.sample(64 * GIB)
    assert len(bench.all(effects.SpawnRunner)) == 1


@pytest.mark.parametrize("how", ["exit", "spawn", "link"])
def test_a_lost_try_is_repeated_once_after_a_pause(how: str) -> None:
    bench = Bench(retry_backoff_ns=2 * NS_PER_S)
    request = bench.ask("a")

    def lose(runner: RunnerId) -> None:
        if how == "spawn":
            bench.give(events.SpawnFailed(runner=runner, message="no"))
        elif how == "link":
            bench.give(events.LinkLost(runner=runner, message="no"))
        else:
            bench.exit(runner, -11)

    lose(RunnerId(1))
    bench.sample(64 * GIB)
    cause = bench.request(request).cause
    assert cause is not None
    assert (cause.cause, cause.until) == ("backoff", bench.at + 2 * NS_PER_S)
    bench.pass_time(2 * NS_PER_S)
    lose(RunnerId(2))
    refusal = bench.refusal_of(request)
    assert (refusal.code, refusal.status_hint) == (RefusalCode.LOAD_FAILED, 500)
    assert len(bench.all(effects.SpawnRunner)) == 2


def test_a_load_in_its_back_off_holds_nobody_up() -> None:
    bench = Bench(runners_max=1)
    bench.ask("a")
    bench.exit(RunnerId(1), 1)
    bench.ask("b")
    assert bench.last_spawn().model == "b"


def test_a_try_lost_after_everybody_left_is_not_repeated() -> None:
    bench = Bench()
    bench.finish(bench.ask("a"))
    bench.exit(RunnerId(1), 1)
    assert bench.core.snapshot().loads == ()


def test_a_refused_load_tells_every_claimant_and_lets_those_behind_it_try() -> None:
    bench = Bench()
    first, second = bench.ask("a"), bench.ask("a")
    other = bench.ask("a", num_ctx=8192)
    bench.fail_load(RunnerId(1))
    for request in (first, second):
        assert bench.refusal_of(request).message == "the model could not be loaded: cannot"
    assert bench.request(other).state == "waiting"
    assert bench.last_spawn().options.context_tokens == 8192


@pytest.mark.parametrize("by_exit", [False, True])
def test_b04_running_out_of_memory_is_refused_with_the_sums(by_exit: bool) -> None:
    bench = Bench()
    request = bench.ask("a")
    if by_exit:
        bench.exit(RunnerId(1), -9, was_out_of_memory=True)
    else:
        bench.fail_load(RunnerId(1), LoadFailure.OUT_OF_MEMORY)
    refusal = bench.refusal_of(request)
    assert refusal.code is RefusalCode.OUT_OF_MEMORY
    assert "weights 100.0 MiB" in refusal.message
    assert "were free for it when its load began, and memory ran out all the same; ask for" in refusal.message


@pytest.mark.parametrize("by_exit", [False, True])
def test_b04_a_limit_that_the_system_set_for_the_runner_is_named(by_exit: bool) -> None:
    bench = Bench()
    request = bench.ask("a")
    runner, bound = RunnerId(1), events.MemoryBound(64 << 20, "of its control group")
    if by_exit:
        bench.give(events.ProcessExited(runner=runner, exit=events.Exit(-9, was_out_of_memory=True, bound=bound)))
    else:
        kind = LoadFailure.OUT_OF_MEMORY
        bench.give(events.LoadFailed(runner=runner, kind=kind, message="no", bound=bound))
    assert "its process may have at most 64.0 MiB, a limit of its control group" in bench.refusal_of(request).message


def test_a_file_that_changed_under_the_load_is_said_so() -> None:
    bench = Bench()
    request = bench.ask("a")
    bench.fail_load(RunnerId(1), LoadFailure.REPLACED)
    assert bench.refusal_of(request).code is RefusalCode.MODEL_REPLACED


def test_a_load_is_alive_as_long_as_it_makes_progress() -> None:
    bench = Bench(load_stall_ns=10 * NS_PER_S)
    request = bench.ask("a")
    for part in (1, 2):
        bench.pass_time(9 * NS_PER_S)
        bench.give(events.LoadProgressed(runner=RunnerId(1), done_ppm=part))
    assert bench.runner(RunnerId(1)).progress_ppm == 2
    bench.pass_time(10 * NS_PER_S)
    assert bench.runner(RunnerId(1)).stage == "killing"
    assert "load_stall_s" in bench.refusal_of(request).message
    bench.give(events.LoadProgressed(runner=RunnerId(1), done_ppm=3))
    assert bench.runner(RunnerId(1)).progress_ppm == 2


def test_what_was_really_allocated_replaces_the_plan_in_the_books() -> None:
    bench = Bench()
    bench.ask("a")
    planned = bench.core.snapshot().devices[0].reserved_bytes
    bench.load(RunnerId(1), report=True)
    device = bench.core.snapshot().devices[0]
    assert device.reserved_bytes == 0
    assert 2 * MIB <= device.used_bytes < planned


def test_an_empty_report_leaves_the_plan_in_the_books() -> None:
    bench = Bench()
    bench.ask("a")
    planned = bench.core.snapshot().devices[0].reserved_bytes
    bench.load(RunnerId(1))
    assert bench.core.snapshot().devices[0].used_bytes == planned


def test_a_key_is_alive_while_a_load_or_a_runner_of_it_is() -> None:
    bench = Bench(loads_parallel_max=1)
    assert not bench.core.is_key_alive(key_of("a"))
    bench.ready("a")
    assert bench.core.is_key_alive(key_of("a"))
    bench.exit(RunnerId(1))
    assert not bench.core.is_key_alive(key_of("a"))
    bench.ask("b")
    bench.ask("a")
    assert bench.core.is_key_alive(key_of("a"))
    assert bench.open_load("a").runner is None
    assert LoadId(3) == bench.open_load("a").load


def test_a_host_that_others_fill_loses_the_longest_idle_runner_and_no_lease() -> None:
    bench = Bench(memory_bytes=8 * NEED)
    old, young, busy = bench.ready("a"), bench.ready("b"), bench.ready("c")
    request = bench.ask("c")
    mapped = 3 * 100 * MIB
    bench.sample(mapped - MIB, total_bytes=8 * NEED)
    assert [bench.runner(runner).state for runner in (old, young, busy)] == ["unloading", "ready", "ready"]
    bench.sample(mapped - MIB, total_bytes=8 * NEED)
    assert bench.runner(young).state == "ready"
    bench.sample(0, total_bytes=8 * NEED)
    assert bench.runner(young).state == "unloading"
    assert bench.request(request).state == "leased"


def test_a_load_in_progress_is_not_counted_twice_against_one_that_waits() -> None:
    bench = Bench(memory_bytes=3 * NEED, loads_parallel_max=1)
    bench.ask("a")
    own_bytes = bench.runner(RunnerId(1)).own_bytes
    waiting = bench.ask("b", weight_bytes=420 * MIB)
    sample = events.DeviceSample(HOST, 3 * NEED, 3 * NEED - own_bytes, "bench")
    resident = events.Resident(RunnerId(1), own_bytes)
    bench.give(events.DevicesSampled(samples=(sample,), resident=(resident,)))
    assert bench.cause(waiting) == "load_place"


def test_a_waiting_load_shows_when_its_last_claimant_stops_to_wait() -> None:
    bench = Bench(loads_parallel_max=1, wait_ns=10 * NS_PER_S)
    bench.ask("a")
    first = bench.ask("b")
    bench.pass_time(3 * NS_PER_S)
    second = bench.ask("b")
    load = bench.open_load("b")
    assert load.deadline == bench.request(second).deadline == bench.at + 10 * NS_PER_S
    assert bench.request(first).deadline == load.deadline - 3 * NS_PER_S
