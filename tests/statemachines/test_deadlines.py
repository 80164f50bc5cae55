"""Deadlines come out in order of time, then of arming, and only while they are armed."""

from hypothesis import given
from hypothesis import strategies as st

from statemachines.deadlines import DeadlineName, Deadlines

IDLE, WAIT = DeadlineName.IDLE, DeadlineName.WAIT


def test_nothing_is_due_when_nothing_is_armed() -> None:
    deadlines = Deadlines()
    assert deadlines.next_due() is None
    assert deadlines.pop_due(10**18, armed_by=deadlines.mark()) is None
    assert len(deadlines) == 0


def test_a_deadline_is_not_handed_out_before_its_time() -> None:
    deadlines = Deadlines()
    deadlines.arm(IDLE, 1, 10)
    assert deadlines.pop_due(9, armed_by=deadlines.mark()) is None
    assert deadlines.pop_due(10, armed_by=deadlines.mark()) == (IDLE, 1)
    assert deadlines.pop_due(10, armed_by=deadlines.mark()) is None


def test_arming_again_moves_it() -> None:
    deadlines = Deadlines()
    deadlines.arm(IDLE, 1, 10)
    deadlines.arm(IDLE, 1, 20)
    assert (deadlines.next_due(), deadlines.due_at(IDLE, 1)) == (20, 20)
    assert deadlines.pop_due(15, armed_by=deadlines.mark()) is None


def test_a_disarmed_deadline_never_comes() -> None:
    deadlines = Deadlines()
    deadlines.arm(IDLE, 1, 10)
    deadlines.disarm(IDLE, 1)
    deadlines.disarm(WAIT, 7)
    assert deadlines.next_due() is None
    assert deadlines.due_at(IDLE, 1) is None


def test_equal_times_come_in_order_of_arming() -> None:
    deadlines = Deadlines()
    for owner in (3, 1, 2):
        deadlines.arm(WAIT, owner, 5)
    assert [deadlines.pop_due(5, armed_by=deadlines.mark()) for _ in range(3)] == [(WAIT, 3), (WAIT, 1), (WAIT, 2)]


def test_a_deadline_that_arms_itself_again_is_not_handed_out_for_ever() -> None:
    deadlines = Deadlines()
    deadlines.arm(IDLE, 1, 5)
    armed_by = deadlines.mark()
    assert deadlines.pop_due(5, armed_by=armed_by) == (IDLE, 1)
    deadlines.arm(IDLE, 1, 5)
    assert deadlines.pop_due(5, armed_by=armed_by) is None
    assert deadlines.pop_due(5, armed_by=deadlines.mark()) == (IDLE, 1)


def test_the_heap_stays_small_although_one_deadline_moves_all_the_time() -> None:
    deadlines = Deadlines()
    for due in range(10_000):
        deadlines.arm(IDLE, 1, 10**12 + due)
    assert len(deadlines) == 1
    assert len(deadlines._heap) < 100
    assert deadlines.next_due() == 10**12 + 9_999


@given(st.lists(st.tuples(st.integers(0, 4), st.one_of(st.none(), st.integers(0, 30))), max_size=40))
def test_what_comes_out_is_what_a_dictionary_would_hold(operations: list[tuple[int, int | None]]) -> None:
    deadlines, plain = Deadlines(), dict[int, int]()
    for owner, due in operations:
        if due is None:
            deadlines.disarm(IDLE, owner)
            plain.pop(owner, None)
        else:
            deadlines.arm(IDLE, owner, due)
            plain[owner] = due
    assert deadlines.next_due() == min(plain.values(), default=None)
    popped = []
    while (filed := deadlines.pop_due(30, armed_by=deadlines.mark())) is not None:
        popped.append(filed[1])
    assert sorted(popped) == sorted(plain)
    assert [plain[owner] for owner in popped] == sorted(plain.values())
