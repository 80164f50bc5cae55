"""Gauges say what the snapshot says at that moment."""

import pytest

from service.journal import RingJournal
from service.metrics.figures import Figures
from service.metrics.registry import Metrics
from statemachines import events
from statemachines.units import GIB, MIB, NS_PER_S
from tests.fakes.clock import HandClock
from tests.service.metrics.reading import Reading
from tests.statemachines.bench import Bench, need_bytes


class Watched:
    """A bench, and an exposition of its figures."""

    def __init__(self, **fields: int) -> None:
        self.bench = Bench(**fields)
        self.journal = RingJournal(
            version="0", limits=self.bench.limits, clock=HandClock(), folder=lambda: None, steps_max=2
        )
        self.metrics = Metrics()
        figures = Figures(
            snapshot=self.bench.core.snapshot,
            now_ns=lambda: self.bench.at,
            spare=lambda: "warm",
            inbox_len=lambda: 3,
            journal=self.journal,
            limits=self.bench.limits,
            build={"version": "1.2.3", "engine": "fake 4"},
        )
        self.metrics.registry.register(figures)

    def read(self) -> Reading:
        return Reading(self.metrics.exposition())


def test_requests_loads_and_runners_are_there_by_state_and_cause() -> None:
    watched = Watched(memory_bytes=need_bytes(100 * MIB) + MIB)
    bench = watched.bench
    bench.ready("a")
    bench.ask("a")
    bench.ask("a")
    bench.pass_time(2 * NS_PER_S)
    bench.ask("b")
    bench.pass_time(3 * NS_PER_S)
    read = watched.read()
    assert read.by("open_requests", "state") == {"waiting": 2, "leased": 1}
    assert read.by("request_waits", "cause") == {"slot": 1, "earlier_requests": 1}
    assert read.by("load_waits", "cause") == {"earlier_requests": 1}
    assert read.by("open_loads", "state") == {"waiting": 1}
    assert read.by("runners", "state") == {"ready": 1}
    assert (read("leases"), read("fenced_runners"), read("oldest_wait_seconds")) == (1, 0, 5)


def test_what_is_not_there_is_0_and_not_missing() -> None:
    read = Watched().read()
    for name, label, count in (("runners", "state", 3), ("open_requests", "state", 3), ("request_waits", "cause", 14)):
        found = [one for one in read.samples if one.name == f"roundhouse_{name}"]
        assert len(found) == len({one.labels[label] for one in found}) == count
        assert {one.value for one in found} == {0}
    assert read("oldest_wait_seconds") == 0


def test_bytes_are_those_of_the_ledger() -> None:
    watched = Watched(memory_bytes=8 * GIB)
    watched.bench.ready("a")
    watched.bench.ask("b")
    (device,) = watched.bench.core.snapshot().devices
    read = watched.read()
    assert device.used_bytes > 0
    assert device.reserved_bytes > 0
    for name in ("total", "free", "budget", "reserved", "used", "returning"):
        assert read(f"device_{name}_bytes", device="host") == getattr(device, f"{name}_bytes")


@pytest.mark.parametrize(("is_open", "state"), [(True, "open"), (False, "starting")])
def test_the_service_is_in_one_state(is_open: bool, state: str) -> None:
    watched = Watched(is_open=is_open)
    assert watched.read().by("service_state", "state") == {state: 1}
    assert watched.read().by("spare", "state") == {"warm": 1}


def test_events_that_came_late_are_there_by_whom_they_met() -> None:
    watched = Watched()
    runner = watched.bench.ready("a")
    watched.bench.exit(runner)
    watched.bench.exit(runner)
    assert watched.read().by("ignored_events_total", "what") == {"runner_ProcessExited": 1}


def test_the_journal_says_how_much_it_has_seen_and_kept_and_written_out(capsys: pytest.CaptureFixture[str]) -> None:
    watched = Watched()
    for _ in range(5):
        watched.journal.write(events.ServiceOpened(), ())
    watched.journal.dump("a test")
    read = watched.read()
    assert (read("journal_steps_total"), read("journal_kept_steps"), read("journal_dumps_total")) == (5, 2, 1)
    assert read("inbox_events") == 3
    assert "a test" in capsys.readouterr().err


def test_versions_and_limits_are_there_to_compare_with() -> None:
    read = Watched(queue_len_max=7).read()
    assert read("build_info", version="1.2.3", engine="fake 4") == 1
    assert read("queue_limit_requests") == 7


def test_the_process_has_figures_of_its_own() -> None:
    read = Watched().read()
    assert read.families["process_resident_memory_bytes"].samples[0].value > 1_000_000
    assert not [name for name in read.families if name.endswith("_created")]


def test_two_services_in_one_process_do_not_share_a_registry() -> None:
    first, second = Watched(), Watched()
    first.bench.ready("a")
    assert (first.read().by("runners", "state"), second.read().by("runners", "state")) == ({"ready": 1}, {})


def test_a_runner_that_cannot_be_ended_is_counted_apart() -> None:
    watched = Watched(stop_grace_ns=NS_PER_S, kill_grace_ns=NS_PER_S)
    watched.bench.ready("a", keep_alive_ns=0)
    watched.bench.pass_time(NS_PER_S)
    assert watched.read()("unreapable_runners") == 0
    watched.bench.pass_time(2 * NS_PER_S)
    read = watched.read()
    assert (read("unreapable_runners"), read("runners", state="unloading")) == (1, 1)
