"""Which steps somebody wants to see."""

import pytest

from service.operators import interest as module
from service.operators.interest import Interest
from statemachines import effects, events
from statemachines.errors import Refusal, RefusalCode
from statemachines.journal import Entry
from statemachines.units import NS_PER_S, LeaseId, LoadId, RequestId, RunnerId
from tests.statemachines.bench import Bench

REFUSED = effects.RefuseRequest(RequestId(7), Refusal(RefusalCode.DRAINING, "no"))
MOVED = effects.ReportTransition("load", 5, "waiting", "failed", "LoadRefused")
ENDED = events.LeaseEnded(runner=RunnerId(3), lease=LeaseId(9), outcome=events.LeaseOutcome.FINISHED, sent=True)


class NotedBench(Bench):
    """A bench with a journal."""

    def __init__(self) -> None:
        self.entries: list[Entry] = []
        super().__init__()

    def give(self, event: events.Event) -> tuple[effects.AnyEffect, ...]:
        answer = super().give(event)
        self.entries.append(Entry(event, answer))  # type: ignore[arg-type]  # the bench gives nothing but events
        return answer


@pytest.mark.parametrize(
    ("entry", "wanted"),
    [
        (Entry(events.RequestFinished(request=RequestId(7)), ()), ("request", 7)),
        (Entry(events.DeadlineReached(), (REFUSED,)), ("request", 7)),
        (Entry(events.DeadlineReached(), (MOVED,)), ("load", 5)),
        (Entry(ENDED, ()), ("runner", 3)),
        (
            Entry(events.ServiceOpened(), (effects.GrantLease(RequestId(1), LeaseId(9), RunnerId(3), None),)),
            ("runner", 3),
        ),
    ],
)
def test_a_step_is_wanted_by_whom_its_event_or_an_effect_names(entry: Entry, wanted: tuple[str, int]) -> None:
    kind, number = wanted
    assert entry in Interest([wanted])
    assert entry in Interest([("request", 99), wanted])
    assert entry not in Interest([(kind, number + 1)])
    assert entry in Interest()


def test_a_model_is_followed_through_its_ids() -> None:
    bench = NotedBench()
    first, other = bench.ask("a"), bench.ask("b")
    bench.load(bench.all(effects.SpawnRunner)[0].runner)
    bench.answer(first)
    bench.finish(other)
    bench.pass_time(300 * NS_PER_S)
    interest = Interest(model="a")
    shown = [type(entry.event).__name__ for entry in bench.entries if entry in interest]
    assert shown == ["RequestArrived", "ModelLoaded", "LeaseEnded", "RequestFinished", "DeadlineReached"]


def test_what_began_before_the_journal_is_known_from_what_lives() -> None:
    bench = Bench()
    runner = bench.ready("a")
    interest = Interest(model="a")
    gone = Entry(events.LinkLost(runner=runner, message="gone"), ())
    assert gone not in interest
    interest.learn(bench.core.snapshot())
    assert gone in interest
    assert Entry(events.LinkLost(runner=RunnerId(99), message="gone"), ()) not in interest


def test_an_interest_in_ids_learns_nothing_of_models() -> None:
    bench = Bench()
    bench.ready("a")
    interest = Interest([("load", LoadId(77))])
    interest.learn(bench.core.snapshot())
    assert Entry(events.LinkLost(runner=RunnerId(1), message="gone"), ()) not in interest


def test_an_interest_in_a_model_remembers_so_many_ids_those_named_last(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "IDS_MAX", 3)
    bench, interest = NotedBench(), Interest(model="a")
    requests = [bench.ask("a") for _ in range(6)]
    read = [entry in interest for entry in bench.entries]
    assert any(read)
    wanted = [Entry(events.RequestFinished(request=request), ()) in interest for request in requests]
    assert wanted[-1]
    assert not wanted[0]
    assert sum(wanted) <= 3
