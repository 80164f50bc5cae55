"""Whose turn it is: bytes, places and fences among loads that wait at once."""

from statemachines import effects
from statemachines.causes import PLANNING
from statemachines.units import GIB, MIB, RunnerId
from tests.statemachines.bench import Bench, need_bytes

NEED = need_bytes(100 * MIB)


def test_a_busy_runner_is_fenced_and_leaves_with_its_last_lease() -> None:
    bench = Bench(runners_max=1)
    runner = bench.ready("b")
    busy = bench.ask("b")
    wanted = bench.ask("a")
    waiting = bench.ask("b")
    assert bench.runner(runner).fence == bench.request(wanted).load
    cause = bench.request(waiting).cause
    assert cause is not None
    assert (cause.cause, cause.holders) == ("fence", (f"runner {runner}", f"load {bench.request(wanted).load}"))
    late = bench.ask("b")
    assert bench.request(late).load == bench.request(waiting).load
    bench.answer(busy)
    assert bench.runner(runner).state == "unloading"
    bench.exit(runner)
    assert bench.last_spawn().model == "a"
    assert bench.cause(late) == "runner_place"


def test_a_fence_does_not_overtake_requests_that_came_earlier() -> None:
    bench = Bench(runners_max=1)
    runner = bench.ready("b")
    first, second = bench.ask("b"), bench.ask("b")
    wanted = bench.ask("a")
    third = bench.ask("b")
    cause = bench.request(wanted).cause
    assert cause is not None
    assert (cause.cause, cause.holders) == ("earlier_requests", (f"runner {runner}",))
    bench.answer(first)
    assert bench.request(second).state == "leased"
    assert bench.runner(runner).fence == bench.request(wanted).load
    assert bench.cause(third) == "fence"
    bench.answer(second)
    bench.exit(runner)
    assert bench.last_spawn().model == "a"


def test_a_fence_goes_up_when_the_earlier_requests_leave() -> None:
    bench = Bench(runners_max=1)
    runner = bench.ready("b")
    bench.ask("b")
    earlier = bench.ask("b")
    wanted = bench.ask("a")
    bench.finish(earlier)
    assert bench.runner(runner).fence == bench.request(wanted).load


def test_a_queue_for_each_of_two_models_is_two_loads_and_not_one_for_each_request() -> None:
    bench = Bench(runners_max=1)
    queue = [bench.ask(model) for model in "aaaaaabbbbb"]
    for request in queue:
        if bench.request(request).state == "waiting":
            for runner in bench.core.snapshot().runners:
                if runner.state == "unloading":
                    bench.exit(runner.runner)
            bench.load(bench.last_spawn().runner)
        bench.answer(request)
    assert [spawn.model for spawn in bench.all(effects.SpawnRunner)] == ["a", "b"]


def test_load_places_are_given_in_order_of_birth() -> None:
    bench = Bench(loads_parallel_max=1, runners_max=40)
    for number in range(13):
        bench.ask(f"m{number}")
    bench.sample(64 * GIB)
    for number in range(13):
        bench.load(bench.last_spawn().runner)
        bench.pass_time(0)
        assert bench.last_spawn().model == f"m{min(number + 1, 12)}"


def test_a_fence_that_falls_serves_those_who_waited_behind_it_in_the_same_step() -> None:
    bench = Bench(runners_max=1)
    runner = bench.ready("b")
    busy = bench.ask("b")
    wanted = bench.ask("a")
    waiting = bench.ask("b")
    fenced_load = bench.request(waiting).load
    bench.finish(wanted)
    assert bench.runner(runner).fence is None
    assert any(report.id == fenced_load and report.target == "served" for report in bench.now(effects.ReportTransition))
    assert bench.runner(runner).waiters == (waiting,)
    bench.answer(busy)
    assert bench.request(waiting).state == "leased"


def test_a_load_of_the_same_key_with_other_options_fences_its_runner_even_where_bytes_would_fit() -> None:
    bench = Bench()
    runner = bench.ready("a")
    busy = bench.ask("a")
    larger = bench.ask("a", num_ctx=8192)
    assert bench.runner(runner).fence == bench.request(larger).load
    bench.sample(64 * GIB)
    assert bench.cause(larger) == "key"
    bench.answer(busy)
    assert bench.last_spawn().options.context_tokens == 8192
    assert bench.runner(runner).state == "unloading"


def test_bytes_are_given_in_order_of_arrival() -> None:
    bench = Bench(memory_bytes=3 * NEED)
    busy_runner = bench.ready("b")
    busy = bench.ask("b")
    large = bench.ask("a", weight_bytes=2 * NEED)
    small = bench.ask("c", weight_bytes=50 * MIB)
    assert bench.cause(large) == "bytes"
    assert bench.runner(busy_runner).fence == bench.request(large).load
    assert bench.cause(small) == "earlier_loads"
    bench.answer(busy)
    bench.exit(busy_runner)
    assert bench.all(effects.SpawnRunner)[1].model == "a"


def test_a_later_load_waits_behind_earlier_ones_by_name() -> None:
    bench = Bench(memory_bytes=2 * NEED + MIB)
    first = bench.ready("b")
    bench.ask("b")
    blocked = bench.ask("a", weight_bytes=150 * MIB)
    later = bench.ask("c", weight_bytes=150 * MIB)
    assert bench.runner(first).fence == bench.request(blocked).load
    cause = bench.request(later).cause
    assert cause is not None
    assert (cause.cause, cause.holders) == ("earlier_loads", (f"load {bench.request(blocked).load}",))


def test_loads_whose_bytes_fit_run_side_by_side_up_to_the_limit() -> None:
    bench = Bench(loads_parallel_max=2)
    bench.ask("a")
    bench.ask("b")
    third = bench.ask("c")
    assert [spawn.model for spawn in bench.all(effects.SpawnRunner)] == ["a", "b"]
    cause = bench.request(third).cause
    assert cause is not None
    assert (cause.cause, cause.holders) == ("load_place", ("runner 1", "runner 2"))
    bench.load(RunnerId(1))
    assert bench.last_spawn().model == "c"


def test_more_waiting_loads_than_one_step_plans_are_due_at_once() -> None:
    bench = Bench(plans_per_step_max=1, loads_parallel_max=3)
    blocked = [bench.ask(model) for model in ("a", "b", "c", "d", "e")]
    bench.sample(64 * GIB)
    assert bench.core.next_deadline() == bench.at
    bench.pass_time(0)
    assert bench.core.next_deadline() != bench.at
    assert [bench.cause(request) for request in blocked] == ["loading"] * 3 + ["load_place"] * 2


def test_a_load_waits_for_one_that_is_still_loading_when_nobody_else_could_make_room() -> None:
    bench = Bench(runners_max=1)
    bench.ask("a")
    waiting = bench.ask("b")
    cause = bench.request(waiting).cause
    assert cause is not None
    assert (cause.cause, cause.holders) == ("runner_place", ("runner 1",))
    bench.load(RunnerId(1))
    assert bench.runner(RunnerId(1)).fence == bench.request(waiting).load


def test_a_load_whose_last_claimant_a_runner_can_serve_after_all_is_withdrawn() -> None:
    bench = Bench(runners_max=1)
    runner = bench.ready("a")
    bench.ask("a")
    other = bench.ask("b")
    larger, smaller = bench.ask("a", num_ctx=8192), bench.ask("a", num_ctx=2048)
    assert bench.request(smaller).load == bench.request(larger).load
    bench.finish(larger)
    bench.finish(other)
    assert bench.runner(runner).waiters == (smaller,)
    assert bench.core.snapshot().loads == ()


def test_clients_that_come_and_go_do_not_move_a_loads_turn() -> None:
    bench = Bench(runners_max=1)
    runner = bench.ready("b")
    first, second = bench.ask("b"), bench.ask("b")
    passing = bench.ask("a")
    patient = bench.ask("c")
    for _ in range(2):
        third, another = bench.ask("b"), bench.ask("a")
        bench.finish(passing)
        passing = another
        bench.answer(first)
        first, second = second, third
    assert bench.runner(runner).state == "unloading"
    assert bench.cause(passing) == "runner_place"
    assert bench.cause(patient) == "earlier_loads"


def test_the_oldest_load_takes_what_comes_free_although_more_wait_than_a_step_plans() -> None:
    bench = Bench(runners_max=10, loads_parallel_max=10)
    runners = [bench.ready(f"r{number}") for number in range(10)]
    busy = [bench.ask(f"r{number}") for number in range(10)]
    for number in range(10):
        bench.ask(f"w{number}")
        bench.pass_time(0)
    order = []
    for request, runner in zip(busy, runners, strict=True):
        bench.answer(request)
        bench.exit(runner)
        bench.pass_time(0)
        order.append(bench.last_spawn().model)
    assert order == [f"w{number}" for number in range(10)]


def test_everybody_is_planned_some_time_although_all_are_marked_anew_at_every_step() -> None:
    bench = Bench(loads_parallel_max=1, runners_max=1, plans_per_step_max=2)
    bench.ask("x")
    waiting = [bench.ask(f"m{number}") for number in range(9)]
    world = bench.core._world
    for load in world.waiting_loads():
        load.wait = PLANNING
    for _ in waiting:
        bench.sample(64 * GIB)
    assert "planning" not in {bench.cause(request) for request in waiting}


def test_the_runner_of_its_own_key_is_not_unloaded_before_there_is_room_for_the_next() -> None:
    bench = Bench(memory_bytes=4 * NEED)
    runner = bench.ready("a")
    bench.ask("c", weight_bytes=250 * MIB)
    larger = bench.ask("a", num_ctx=32768, weight_bytes=200 * MIB)
    assert bench.runner(runner).state == "ready"
    assert bench.cause(larger) == "key"


def test_two_abandoned_loads_yield_to_one_that_fits_in_their_place() -> None:
    bench = Bench(memory_bytes=4 * NEED + MIB, loads_parallel_max=2, runners_max=9)
    abandoned = [bench.ask("a", weight_bytes=10 * MIB), bench.ask("b", weight_bytes=300 * MIB)]
    for request in abandoned:
        bench.finish(request)
    bench.ask("c", weight_bytes=300 * MIB)
    assert [bench.runner(RunnerId(runner)).state for runner in (1, 2)] == ["loading", "unloading"]
