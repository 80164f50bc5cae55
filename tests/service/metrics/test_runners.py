"""Runners are counted by why they leave, and their loads by how long they took."""

import pytest

from service.metrics.runners import EVICTIONS, LEAVING
from statemachines import events
from statemachines.facts import LoadFailure
from statemachines.runner import RUNNER
from statemachines.states import RunnerState
from statemachines.units import MIB, NS_PER_S
from tests.service.metrics.bench import CountedBench
from tests.statemachines.bench import key_of, need_bytes


def test_every_way_out_has_a_word() -> None:
    ways = {
        trigger
        for (state, trigger), cell in RUNNER.cells.items()
        for one in cell
        if state in (RunnerState.LOADING, RunnerState.READY) and one.target in (RunnerState.UNLOADING, RunnerState.DEAD)
    }
    assert ways == set(LEAVING)
    assert set(EVICTIONS) <= set(LEAVING.values())


def test_a_load_is_timed_from_its_order_to_its_end_and_one_for_nothing_is_wasted() -> None:
    bench = CountedBench(load_attempts_max=1)
    bench.ask("a")
    bench.pass_time(4 * NS_PER_S)
    bench.load(bench.last_spawn().runner)
    bench.ask("b")
    bench.pass_time(3 * NS_PER_S)
    bench.fail_load(bench.last_spawn().runner)
    read = bench.read()
    assert (read("load_seconds_count", model="a"), read("load_seconds_sum", model="a")) == (1, 4)
    assert read("wasted_load_seconds_total") == 3
    assert read.by("runner_starts_total", "model") == {"a": 1, "b": 1}


def test_an_idle_runner_that_makes_room_is_evicted_once_however_long_its_end_takes() -> None:
    bench = CountedBench(memory_bytes=need_bytes(100 * MIB) + MIB)
    runner = bench.ready("a")
    bench.ask("b")
    assert bench.read().by("evictions_total", "cause") == {"victim": 1}
    assert bench.read().by("runner_ends_total", "cause") == {}
    bench.exit(runner)
    assert bench.read().by("evictions_total", "cause") == {"victim": 1}
    assert bench.read().by("runner_ends_total", "cause") == {"victim": 1}


def test_a_busy_runner_that_makes_room_leaves_behind_its_fence() -> None:
    bench = CountedBench(memory_bytes=need_bytes(100 * MIB) + MIB)
    runner = bench.ready("a")
    leased = bench.ask("a")
    bench.ask("b")
    assert bench.read().by("evictions_total", "cause") == {}
    bench.answer(leased)
    bench.exit(runner)
    assert bench.read().by("evictions_total", "cause") == {"fence": 1}
    assert bench.read().by("runner_ends_total", "cause") == {"fence": 1}


@pytest.mark.parametrize(
    ("end", "cause"),
    [
        (lambda bench, runner: bench.exit(runner, -11), "exited"),
        (lambda bench, runner: bench.give(events.LinkLost(runner=runner, message="gone")), "link_lost"),
        (lambda bench, _runner: bench.pass_time(300 * NS_PER_S), "idle"),
        (lambda bench, _runner: bench.give(events.OperatorStop(key=key_of("a"), force=True)), "operator"),
        (lambda bench, _runner: bench.give(events.ShutdownOrdered()), "shutdown"),
    ],
)
def test_a_runner_ends_by_what_first_made_it_leave(end: object, cause: str) -> None:
    bench = CountedBench()
    runner = bench.ready("a")
    end(bench, runner)  # type: ignore[operator]  # a function of the table
    bench.exit(runner)
    assert bench.read().by("runner_ends_total", "cause") == {cause: 1}


def test_memory_is_blamed_whoever_noticed_first() -> None:
    bench = CountedBench()
    by_its_word, by_its_exit = bench.ready("a"), bench.ready("b")
    bench.give(events.LinkLost(runner=by_its_exit, message="gone"))
    bench.exit(by_its_exit, -9, was_out_of_memory=True)
    bench.give(events.OperatorStop(key=key_of("a"), force=True))
    bench.exit(by_its_word, -9)
    bench.ask("c")
    bench.fail_load(bench.last_spawn().runner, LoadFailure.OUT_OF_MEMORY)
    bench.exit(bench.last_spawn().runner, 1)
    assert bench.read().by("runner_ends_total", "cause") == {"out_of_memory": 2, "operator": 1}


def test_what_comes_late_about_a_dead_runner_counts_nothing() -> None:
    bench = CountedBench()
    runner = bench.ready("a")
    bench.exit(runner)
    bench.exit(runner, -9, was_out_of_memory=True)
    bench.fail_load(runner, LoadFailure.OUT_OF_MEMORY)
    assert bench.read().by("runner_ends_total", "cause") == {"exited": 1}
