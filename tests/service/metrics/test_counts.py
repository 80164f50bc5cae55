"""What holds of all counters together, and what is told to them directly."""

import pytest

from statemachines import events
from statemachines.effects import ReportIllegal
from statemachines.errors import Refusal, RefusalCode
from statemachines.states import LoadState, RequestState
from statemachines.units import LeaseId
from statemachines.wire.messages import EndReason, LeaseEnded, Usage
from tests.service.metrics.bench import CountedBench
from tests.statemachines import test_walks


@pytest.mark.parametrize("seed", range(20))
def test_whatever_happens_all_that_came_is_counted_once(seed: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(test_walks, "Bench", CountedBench)
    walk = test_walks.Walk(seed)
    bench = walk.bench
    assert isinstance(bench, CountedBench)
    for _ in range(300):
        walk.absorb()
        walk.chaos()
    read, view = bench.read(), bench.core.snapshot()
    arrived = bench._requests
    assert sum(read.by("requests_total", "outcome").values()) == arrived - len(view.requests)
    granted = sum(one.state is not RequestState.WAITING for one in view.requests)
    waits = sum(read.by("wait_seconds_count", "waited_for").values())
    assert granted <= waits <= arrived
    assert sum(read.by("runner_starts_total", "model").values()) == len(walk.bench.all(test_walks.effects.SpawnRunner))
    ended = sum(read.by("runner_ends_total", "cause").values())
    assert ended == sum(read.by("runner_starts_total", "model").values()) - len(view.runners)
    assert all(one.state in (LoadState.WAITING, LoadState.STARTING) for one in view.loads)
    assert read("illegal_events_total") == 0


def test_an_answer_brings_its_tokens_and_its_time() -> None:
    bench = CountedBench()
    usage = Usage(prompt_tokens=7, cached_tokens=2, prompt_ns=5_000_000, output_tokens=3, output_ns=9_000_000)
    for reason in (EndReason.STOP, EndReason.CANCELLED):
        bench.counts.answers.note_end("a", LeaseEnded(LeaseId(1), reason, usage))
    read = bench.read()
    assert read.by("prompt_tokens_total", "model") == {"a": 14}
    assert read.by("prompt_tokens_cached_total", "model") == {"a": 4}
    assert read.by("output_tokens_total", "model") == {"a": 6}
    assert read("prompt_seconds_total", model="a") == pytest.approx(0.01)
    assert read("output_seconds_total", model="a") == pytest.approx(0.018)


def test_figures_of_a_runner_that_cannot_be_are_not_counted() -> None:
    bench = CountedBench()
    usage = Usage(prompt_tokens=-7, cached_tokens=-2, prompt_ns=-1, output_tokens=-3, output_ns=-9)
    bench.counts.answers.note_end("a", LeaseEnded(LeaseId(1), EndReason.STOP, usage))
    assert bench.read().by("output_tokens_total", "model") == {}


def test_a_question_that_a_runner_refuses_is_a_refusal() -> None:
    bench = CountedBench()
    refusal = Refusal(RefusalCode.PROMPT_TOO_LONG, "too long")
    bench.counts.answers.note_end("a", LeaseEnded(LeaseId(1), EndReason.REFUSED, refusal=refusal))
    assert bench.read().by("refusals_total", "code") == {"prompt_too_long": 1}


def test_replies_are_counted_by_route_and_status() -> None:
    bench = CountedBench()
    for status in (200, 200, 503):
        bench.counts.answers.note_reply("/api/chat", status)
    read = bench.read()
    assert (read("http_replies_total", route="/api/chat", status="200")) == 2
    assert (read("http_replies_total", route="/api/chat", status="503")) == 1


def test_an_illegal_event_is_counted() -> None:
    bench = CountedBench()
    bench.counts.see(events.ServiceOpened(), (ReportIllegal("runner", 1, "ready", "Granted", "no"),))
    assert bench.read()("illegal_events_total") == 1
