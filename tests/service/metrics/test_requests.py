"""Requests and loads are counted by how they end."""

import pytest

from statemachines import events
from statemachines.events import LeaseOutcome
from statemachines.units import NS_PER_S
from tests.service.metrics.bench import CountedBench
from tests.statemachines.bench import key_of


def test_a_request_is_answered_refused_lost_or_left() -> None:
    bench = CountedBench(queue_len_max=1)
    bench.ready("a")
    leased, left, _refused = bench.ask("a"), bench.ask("a"), bench.ask("a")
    bench.finish(left)
    bench.end(bench.lease_of(leased), LeaseOutcome.CRASHED, sent=True)
    bench.finish(leased)
    read = bench.read()
    assert read.by("requests_total", "outcome") == {"answered": 1, "left": 1, "refused": 1, "lost": 1}
    assert read("requests_total", model="a", outcome="answered") == 1
    assert read.by("refusals_total", "code") == {"queue_full": 1, "runner_crashed": 1}


def test_a_client_that_leaves_its_answer_has_left_and_so_has_one_that_only_loads() -> None:
    bench = CountedBench()
    request = bench.ask("a")
    bench.load(bench.last_spawn().runner)
    bench.finish(request)
    bench.end(bench.lease_of(request), LeaseOutcome.CANCELLED)
    assert bench.read().by("requests_total", "outcome") == {"left": 1}


def test_a_request_that_is_tried_again_is_one_request_with_one_wait() -> None:
    bench = CountedBench()
    request = bench.ask("a")
    bench.pass_time(2 * NS_PER_S)
    runner = bench.last_spawn().runner
    bench.load(runner)
    bench.end(bench.lease_of(request), LeaseOutcome.CRASHED, sent=False)
    bench.exit(runner, -6)
    bench.load(bench.last_spawn().runner)
    bench.answer(request)
    read = bench.read()
    assert read.by("requests_total", "outcome") == {"answered": 1}
    assert (read("wait_seconds_count", waited_for="load"), read("wait_seconds_sum", waited_for="load")) == (1, 2)


def test_waits_tell_a_load_from_a_slot_from_nothing() -> None:
    bench = CountedBench()
    bench.ready("a")
    first, second = bench.ask("a"), bench.ask("a")
    bench.pass_time(3 * NS_PER_S)
    bench.answer(first)
    bench.answer(second)
    read = bench.read()
    assert read.by("wait_seconds_count", "waited_for") == {"load": 1, "nothing": 1, "slot": 1}
    assert read("wait_seconds_sum", waited_for="slot") == 3
    assert read("wait_seconds_bucket", waited_for="slot", le="2.5") == 0
    assert read("wait_seconds_bucket", waited_for="slot", le="5.0") == 1


@pytest.mark.parametrize(
    ("ends", "outcome"), [("loads", "served"), ("fails", "failed"), ("is ordered away", "withdrawn")]
)
def test_a_load_is_counted_when_it_is_over(ends: str, outcome: str) -> None:
    bench = CountedBench(load_attempts_max=1)
    bench.ask("a")
    runner = bench.last_spawn().runner
    assert bench.read().by("loads_total", "outcome") == {}
    if ends == "loads":
        bench.load(runner)
    elif ends == "fails":
        bench.give(events.SpawnFailed(runner=runner, message="no"))
    else:
        bench.give(events.OperatorStop(key=key_of("a"), force=True))
    assert bench.read().by("loads_total", "outcome") == {outcome: 1}


def test_a_doubled_arrival_is_one_request() -> None:
    bench = CountedBench()
    request = bench.ask("a")
    bench._requests -= 1
    assert bench.ask("a") == request
    bench.finish(request)
    assert bench.read().by("requests_total", "outcome") == {"left": 1}
