"""The books: exact sums, two witnesses, released exactly once."""

import pytest
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from statemachines.bytes import BYTES, BytesState, BytesTrigger, Holding
from statemachines.errors import InternalError
from statemachines.events import DeviceSample
from statemachines.ledger import Ledger, host_ledger
from statemachines.limits import Limits
from statemachines.table import Kind, LookupInterpreter
from statemachines.units import HOST, DeviceId, RunnerId

ONE = RunnerId(1)


def ledger(total_bytes: int = 1000, free_bytes: int = 900, **limits: int) -> Ledger:
    books = host_ledger(Limits(**limits))
    books.observe(DeviceSample(HOST, total_bytes, free_bytes, "test"))
    return books


def test_before_the_first_sample_there_is_nothing_to_give() -> None:
    books = host_ledger(Limits())
    assert (books.free_bytes, books.budget_bytes) == (0, 0)


def test_the_smaller_of_books_and_sample_counts() -> None:
    assert ledger(free_bytes=900).free_bytes == 900
    assert ledger(free_bytes=900, host_budget_bytes=300).free_bytes == 300
    assert ledger(free_bytes=900, host_overhead_bytes=200).free_bytes == 700
    assert ledger(host_overhead_bytes=2000).budget_bytes == 0


def test_a_reservation_counts_before_any_sample_can_see_it() -> None:
    books = ledger()
    books.reserve(ONE, mapped_bytes=100, own_bytes=50)
    assert (books.free_bytes, books.reserved_bytes, books.held_by(ONE)) == (750, 150, 150)
    books.observe(DeviceSample(HOST, 1000, 880, "half way through the load"))
    assert books.free_bytes == 880 - 150


def test_mapped_weights_of_a_live_runner_count_although_the_system_calls_them_available() -> None:
    books = ledger()
    books.reserve(ONE, mapped_bytes=100, own_bytes=50)
    books.use(ONE, mapped_bytes=120, own_bytes=60)
    assert (books.reserved_bytes, books.used_bytes) == (0, 180)
    assert books.free_bytes == 900 - 180
    books.observe(DeviceSample(HOST, 1000, 840, "its own 60 are gone from here, its mapped 120 are not"))
    books.observe(DeviceSample(HOST, 1000, 840, "again"))
    assert books.free_bytes == 840 - 120


def test_what_is_resident_of_a_load_in_progress_is_not_counted_twice() -> None:
    books = ledger(free_bytes=900)
    books.reserve(ONE, mapped_bytes=100, own_bytes=50)
    books.observe(DeviceSample(HOST, 1000, 870, "30 of its 50 have come in"), {ONE: 30})
    assert books.free_bytes == 870 - 100 - 20
    books.use(ONE, mapped_bytes=100, own_bytes=20)
    assert books.free_bytes == 870 - 100
    books.release(ONE)
    assert books.free_bytes == 870 + 20


def test_more_than_planned_may_be_resident() -> None:
    books = ledger(free_bytes=900)
    books.reserve(ONE, mapped_bytes=0, own_bytes=50)
    books.observe(DeviceSample(HOST, 1000, 800, "twice as much as planned"), {ONE: 100})
    assert books.free_bytes == 800


def test_what_a_reaped_process_had_is_free_at_once() -> None:
    books = ledger()
    books.reserve(ONE, mapped_bytes=100, own_bytes=50)
    books.use(ONE, mapped_bytes=100, own_bytes=50)
    books.observe(DeviceSample(HOST, 1000, 850, "seen"))
    books.release(ONE)
    assert books.free_bytes == 900
    books.observe(DeviceSample(HOST, 1000, 900, "and then the sample says so too"))
    assert books.free_bytes == 900


def test_a_reading_from_before_a_reap_still_lacks_what_the_process_had() -> None:
    books = ledger(free_bytes=850)
    books.observe(DeviceSample(HOST, 1000, 850, "read while the process lived"), {ONE: 50})
    assert books.free_bytes == 900


def test_a_reading_from_after_the_end_and_before_the_reap_is_not_counted_twice() -> None:
    books = ledger(free_bytes=900)
    books.reserve(ONE, mapped_bytes=0, own_bytes=50)
    books.use(ONE, mapped_bytes=0, own_bytes=50)
    books.observe(DeviceSample(HOST, 1000, 900, "the kernel has it back already"), {ONE: 0})
    books.release(ONE)
    assert books.free_bytes == 900


def test_more_than_there_is_cannot_be_reserved() -> None:
    books = ledger(free_bytes=100)
    with pytest.raises(InternalError, match="more on host than there is"):
        books.reserve(ONE, mapped_bytes=60, own_bytes=60)


def test_bytes_are_reserved_once_and_released_once() -> None:
    books = ledger()
    books.reserve(ONE, mapped_bytes=1, own_bytes=1)
    with pytest.raises(InternalError, match="a second time"):
        books.reserve(ONE, mapped_bytes=1, own_bytes=1)
    books.release(ONE)
    with pytest.raises(InternalError, match="does not hold"):
        books.release(ONE)
    assert books.held_by(ONE) == 0
    assert books.holding(ONE) is None


def test_bytes_are_used_once() -> None:
    books = ledger()
    books.reserve(ONE, mapped_bytes=1, own_bytes=1)
    books.use(ONE, mapped_bytes=1, own_bytes=1)
    with pytest.raises(InternalError, match="used x Loaded"):
        books.use(ONE, mapped_bytes=1, own_bytes=1)


def test_an_audit_finds_a_wrong_sum() -> None:
    books = ledger()
    books.reserve(ONE, mapped_bytes=1, own_bytes=1)
    books.audit()
    books.reserved_bytes += 1
    with pytest.raises(InternalError, match="do not add up"):
        books.audit()


@pytest.mark.parametrize(("device", "target"), [(HOST, BytesState.FREE), (DeviceId("CUDA0"), BytesState.RETURNING)])
def test_host_bytes_are_free_with_the_process_and_a_cards_bytes_return(device: DeviceId, target: BytesState) -> None:
    holding = Holding(ONE, device, mapped_bytes=0, own_bytes=1)
    outcome = LookupInterpreter(BYTES).fire(holding, BytesTrigger.GONE, None)
    assert (outcome.kind, holding.state) == (Kind.GO, target)


class Books(RuleBasedStateMachine):
    """A dictionary of holdings is the model; the ledger's running sums must agree with it at every moment."""

    def __init__(self) -> None:
        super().__init__()
        self.books = ledger(total_bytes=10_000, free_bytes=9_000)
        self.held: dict[RunnerId, tuple[int, int]] = {}
        self.fresh = 0

    @rule(mapped_bytes=st.integers(0, 500), own_bytes=st.integers(0, 500))
    def reserve(self, mapped_bytes: int, own_bytes: int) -> None:
        if mapped_bytes + own_bytes > self.books.free_bytes:
            return
        self.fresh += 1
        self.books.reserve(RunnerId(self.fresh), mapped_bytes=mapped_bytes, own_bytes=own_bytes)
        self.held[RunnerId(self.fresh)] = (mapped_bytes, own_bytes)

    def _pick(self, number: int) -> RunnerId:
        return sorted(self.held)[number % len(self.held)]

    @precondition(lambda self: self.held)
    @rule(number=st.integers(0, 99), own_bytes=st.integers(0, 500))
    def use(self, number: int, own_bytes: int) -> None:
        runner = self._pick(number)
        holding = self.books.holding(runner)
        assert holding is not None
        if holding.state is BytesState.RESERVED:
            mapped = self.held[runner][0]
            self.books.use(runner, mapped_bytes=mapped, own_bytes=own_bytes)
            self.held[runner] = (mapped, own_bytes)

    @precondition(lambda self: self.held)
    @rule(number=st.integers(0, 99))
    def release(self, number: int) -> None:
        runner = self._pick(number)
        before = self.books.free_bytes
        self.books.release(runner)
        assert self.books.free_bytes == before + sum(self.held.pop(runner))

    @rule(free_bytes=st.integers(0, 9_000), resident=st.integers(0, 600))
    def observe(self, free_bytes: int, resident: int) -> None:
        some = {runner: resident for runner in self.held if runner % 2} if resident else None
        self.books.observe(DeviceSample(HOST, 10_000, free_bytes, "test"), some)

    @invariant()
    def sums_agree(self) -> None:
        self.books.audit()
        assert self.books.booked_bytes == sum(sum(held) for held in self.held.values())


TestBooks = Books.TestCase
