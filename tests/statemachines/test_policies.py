"""The pure policies: covers, eviction, placement, queue, threads."""

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from statemachines.causes import Cause
from statemachines.covers import covers
from statemachines.errors import RefusalCode
from statemachines.eviction import Candidate, Shortfall, choose_fences, choose_idle
from statemachines.facts import LoadedFacts, LoadKind, LoadOptions
from statemachines.placement import Decision, KeyHold, Room, decide
from statemachines.queue import GRANTS_KEPT, Pace, queue_full
from statemachines.threads import ThreadBudget
from statemachines.units import NS_PER_S, RunnerId

LOADED = LoadedFacts(context_tokens=4096, slots=2, gpu_layers=10, main_gpu=1)
WANTED = LoadOptions(context_tokens=4096, context_is_automatic=False)


@pytest.mark.parametrize(
    ("change", "is_covered"),
    [
        ({}, True),
        ({"context_tokens": 2048}, True),
        ({"context_tokens": 8192}, False),
        ({"context_tokens": 8192, "context_is_automatic": True}, True),
        ({"slots": 2}, True),
        ({"slots": 3}, False),
        ({"kind": LoadKind.EMBEDDING}, False),
        ({"shift": True}, False),
        ({"cache_type": "q8_0"}, False),
        ({"gpu_layers": 10}, True),
        ({"gpu_layers": 9}, False),
        ({"main_gpu": 1}, True),
        ({"main_gpu": 0}, False),
    ],
)
def test_covers(change: dict[str, object], is_covered: bool) -> None:
    assert covers(LOADED, msgspec.structs.replace(WANTED, **change)) is is_covered


def test_an_open_load_covers_only_what_it_does_not_leave_open() -> None:
    load = LoadOptions(context_tokens=4096)
    assert covers(load, WANTED)
    assert not covers(load, msgspec.structs.replace(WANTED, gpu_layers=10))


def candidate(runner: int, total_bytes: int = 10, since: int = 0, waiters: int = 0) -> Candidate:
    return Candidate(RunnerId(runner), total_bytes, since, waiters)


def names(chosen: tuple[Candidate, ...]) -> list[int]:
    return [one.runner for one in chosen]


def test_the_longest_idle_goes_first() -> None:
    idle = [candidate(1, since=30), candidate(2, since=10), candidate(3, since=20)]
    assert names(choose_idle(Shortfall(15, 0), idle)) == [2, 3]
    assert names(choose_idle(Shortfall(0, 1), idle)) == [2]


def test_nobody_goes_in_vain() -> None:
    idle = [candidate(1, total_bytes=1, since=1), candidate(2, total_bytes=100, since=2)]
    assert names(choose_idle(Shortfall(50, 0), idle)) == [2]
    assert names(choose_idle(Shortfall(-5, 0), idle)) == []


def test_all_are_named_when_they_do_not_suffice() -> None:
    assert names(choose_idle(Shortfall(50, 0), [candidate(1), candidate(2)])) == [1, 2]


def test_a_fence_goes_where_fewest_wait_then_to_the_oldest_lease() -> None:
    busy = [candidate(1, since=5, waiters=2), candidate(2, since=9), candidate(3, since=7)]
    assert names(choose_fences(Shortfall(1, 1), busy)) == [3]


@given(
    st.integers(0, 100),
    st.integers(0, 4),
    st.lists(st.tuples(st.integers(1, 40), st.integers(0, 9)), max_size=6),
)
def test_a_choice_covers_if_all_do_and_has_no_member_too_many(
    short_bytes: int, places: int, raw: list[tuple[int, int]]
) -> None:
    idle = [candidate(number, total, since) for number, (total, since) in enumerate(raw)]
    shortfall = Shortfall(short_bytes, places)
    chosen = choose_idle(shortfall, idle)
    if shortfall.less(idle).is_covered:
        assert shortfall.less(chosen).is_covered
        assert all(not shortfall.less([c for c in chosen if c is not one]).is_covered for one in chosen)
    else:
        assert len(chosen) == len(idle)


ROOM = Room(
    free_bytes=100,
    free_places=3,
    coming_bytes=0,
    coming_places=0,
    owed_bytes=0,
    owed_places=0,
    capacity_bytes=200,
    load_places=2,
    owed_load_places=0,
)


def decided(
    need_bytes: int,
    *,
    key: KeyHold | None = None,
    yielding: int | None = None,
    serves_earlier: bool = False,
    **room: int,
) -> Decision:
    yielders = [] if yielding is None else [candidate(yielding)]
    return decide(
        need_bytes,
        msgspec.structs.replace(ROOM, **room),
        idle=[candidate(1, 30), *yielders],
        busy=[candidate(2, 70)],
        key=key or KeyHold(),
        serves_earlier=serves_earlier,
        yielding=yielders,
    )


def test_what_fits_starts() -> None:
    assert decided(100) == Decision(starts=True)


def test_more_than_the_machine_could_give_is_refused_and_nobody_unloaded() -> None:
    assert decided(201) == Decision(never_fits=True)


def test_without_a_load_place_it_waits_and_nobody_is_unloaded_yet() -> None:
    assert decided(120, load_places=0) == Decision(cause=Cause.LOAD_PLACE)


def test_a_load_that_nobody_wants_yields_its_place() -> None:
    assert decided(110, load_places=0, yielding=9) == Decision(victims=(RunnerId(9),), cause=Cause.LOAD_PLACE)


def test_a_load_that_nobody_wants_goes_on_when_its_place_would_not_help() -> None:
    assert decided(190, load_places=0, yielding=9, free_bytes=0) == Decision(cause=Cause.LOAD_PLACE)


def test_a_load_that_nobody_wants_yields_with_others_when_all_of_them_make_room() -> None:
    assert decided(140, load_places=0, yielding=9) == Decision(
        victims=(RunnerId(9), RunnerId(1)), cause=Cause.LOAD_PLACE
    )
    key = KeyHold(is_held=True, holder=candidate(7, 50), is_idle=True)
    assert decided(160, load_places=0, yielding=9, key=key) == Decision(
        victims=(RunnerId(9), RunnerId(7)), cause=Cause.LOAD_PLACE
    )


def test_the_runner_of_its_own_key_stays_while_the_newcomer_would_not_fit() -> None:
    key = KeyHold(is_held=True, holder=candidate(7), is_idle=True)
    assert decided(190, key=key, free_bytes=0) == Decision(cause=Cause.KEY)


def test_a_load_place_is_owed_to_an_earlier_load_that_waits_for_nothing_else() -> None:
    assert decided(10, load_places=1, owed_load_places=1) == Decision(cause=Cause.LOAD_PLACE)
    assert decided(10, load_places=2, owed_load_places=1).starts


def test_who_came_earlier_is_served_before_his_runner_is_asked_to_go() -> None:
    assert decided(500, capacity_bytes=999, serves_earlier=True) == Decision(cause=Cause.EARLIER_REQUESTS)
    held = KeyHold(is_held=True, serves_earlier=True)
    assert decided(10, key=held) == Decision(cause=Cause.EARLIER_REQUESTS)


def test_idle_victims_go_before_anybody_is_fenced() -> None:
    assert decided(130) == Decision(victims=(RunnerId(1),), cause=Cause.BYTES)


def test_victims_and_fences_go_as_a_set() -> None:
    assert decided(200) == Decision(victims=(RunnerId(1),), fences=(RunnerId(2),), cause=Cause.BYTES)


def test_nobody_is_unloaded_or_fenced_when_it_would_not_fit_then() -> None:
    assert decided(200, capacity_bytes=500, free_bytes=50) == Decision(cause=Cause.BYTES)


def test_a_place_is_made_like_bytes_are() -> None:
    assert decided(10, free_places=0) == Decision(victims=(RunnerId(1),), cause=Cause.RUNNER_PLACE)


def test_what_is_coming_is_waited_for() -> None:
    assert decided(130, coming_bytes=30) == Decision(cause=Cause.BYTES)
    assert decided(10, free_places=0, coming_places=1) == Decision(cause=Cause.RUNNER_PLACE)


def test_a_later_load_does_not_take_what_an_earlier_one_is_owed() -> None:
    owed = {"owed_bytes": 180, "owed_places": 1, "coming_bytes": 80}
    assert decided(10, **owed).starts is False
    assert decided(110, **owed, capacity_bytes=500).cause is Cause.EARLIER_LOADS


def test_a_later_load_starts_when_the_earlier_ones_sums_still_hold() -> None:
    assert decided(40, owed_bytes=120, owed_places=1, coming_bytes=60).starts


def test_the_runner_of_its_own_key_leaves_first_even_where_the_bytes_would_fit() -> None:
    idle_key = KeyHold(is_held=True, holder=candidate(7), is_idle=True)
    assert decided(10, key=idle_key) == Decision(victims=(RunnerId(7),), cause=Cause.KEY)
    busy_key = KeyHold(is_held=True, holder=candidate(7))
    assert decided(10, key=busy_key) == Decision(fences=(RunnerId(7),), cause=Cause.KEY)
    assert decided(10, key=KeyHold(is_held=True)) == Decision(cause=Cause.KEY)


def test_the_queue_refuses_the_one_too_many_in_words_that_clients_know() -> None:
    assert queue_full(2, 3, 0) is None
    refusal = queue_full(3, 3, 0)
    assert refusal is not None
    assert refusal.code is RefusalCode.QUEUE_FULL
    assert refusal.message == "server busy, please try again.  maximum pending requests exceeded"
    assert (refusal.status_hint, refusal.retry_hint_s) == (503, 1)


@pytest.mark.parametrize(("per_grant_ns", "retry_after_s"), [(1, 1), (NS_PER_S, 1), (NS_PER_S + 1, 2), (9**20, 60)])
def test_the_one_too_many_comes_back_when_a_place_is_likely_to_be_free(per_grant_ns: int, retry_after_s: int) -> None:
    refusal = queue_full(3, 3, per_grant_ns)
    assert refusal is not None
    assert refusal.retry_hint_s == retry_after_s


def test_the_pace_of_a_queue_is_that_of_its_latest_grants() -> None:
    pace = Pace()
    pace.begin(1000)
    assert pace.per_grant_ns(1060) == 60
    pace.note_grant(1060)
    assert pace.per_grant_ns(1100) == 50
    for at in range(2000, 2000 + GRANTS_KEPT * 10, 10):
        pace.note_grant(at)
    assert pace.per_grant_ns(2000 + GRANTS_KEPT * 10) == 10
    pace.begin(9000)
    assert pace.per_grant_ns(9000) == 0


A, B, C = RunnerId(1), RunnerId(2), RunnerId(3)


def budget(cores: int) -> ThreadBudget:
    threads = ThreadBudget(cores)
    for runner in (A, B, C):
        threads.add(runner)
    return threads


def test_the_only_busy_runner_gets_all_cores_at_once() -> None:
    assert budget(4).balance([A]) == [(A, 4)]


def test_a_newcomer_starts_with_one_and_is_raised_when_the_other_has_acknowledged() -> None:
    threads = budget(4)
    threads.balance([A])
    threads.acknowledge(A, 4)
    assert threads.balance([A, B]) == [(A, 2)]
    assert threads.balance([A, B]) == []
    threads.acknowledge(A, 2)
    assert threads.balance([A, B]) == [(B, 2)]


def test_one_who_was_busy_before_comes_back_with_one() -> None:
    threads = budget(4)
    for alone in (A, B):
        threads.balance([alone])
        threads.acknowledge(alone, 4)
    assert threads.balance([B, A]) == [(B, 2), (A, 1)]


def test_who_remains_is_raised_when_the_other_is_done() -> None:
    threads = budget(2)
    threads.balance([A, B])
    assert threads.balance([A]) == [(A, 2)]


def test_more_runners_than_cores_get_one_each() -> None:
    threads = budget(2)
    threads.balance([A])
    assert threads.balance([A, B, C]) == [(A, 1)]
    threads.acknowledge(A, 1)
    assert threads.balance([A, B, C]) == []


def test_nobody_busy_needs_no_orders_and_the_dead_are_forgotten() -> None:
    threads = budget(2)
    assert threads.balance([]) == []
    threads.remove(A)
    threads.acknowledge(A, 2)
    assert A not in threads.told
