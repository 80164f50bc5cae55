"""The ledger: which runner holds which bytes of a device, and so what is free.

Theory of operation. Two witnesses are asked and the more careful one believed:

- the books: budget - (reserved + used + returning);
- the last sample of the device, corrected for what it cannot know: bytes that are reserved but not resident yet count,
  the mapped weights of live runners count although the operating system calls them available, and the own bytes of
  processes that were reaped since the sample count as free.

So both answers grow by exactly a holding's total when its process ends, and a plan can add up what will come free.
All sums are kept up to date; none is recomputed. There is one device so far, the host; a ledger per device follows
with placement over several.

Raises `InternalError` when its own books contradict each other: that is fatal everywhere.
"""

from collections.abc import Mapping

from statemachines.bytes import BYTES, BytesState, BytesTrigger, Holding
from statemachines.errors import InternalError
from statemachines.events import DeviceSample
from statemachines.limits import Limits
from statemachines.table import Kind, LookupInterpreter
from statemachines.units import HOST, DeviceId, RunnerId

_BYTES = LookupInterpreter(BYTES)


class Ledger:
    """The books of one device.

    Attributes:
        sample: its last sample; None before the first.
        reserved_bytes, used_bytes, returning_bytes: sums over the holdings, by state.
    """

    def __init__(self, device: DeviceId, limits: Limits) -> None:
        self.device = device
        self._limits = limits
        self.sample: DeviceSample | None = None
        self.reserved_bytes = 0
        self.used_bytes = 0
        self.returning_bytes = 0
        self._holdings: dict[RunnerId, Holding] = {}
        self._unsampled_bytes = 0
        self._freed_since_sample_bytes = 0

    def observe(self, sample: DeviceSample, resident: Mapping[RunnerId, int] | None = None) -> None:
        """Take a fresh sample for true.

        A sample is read beside the core and is never quite of this moment. What each process had at that very reading
        comes with it, and settles both cases: a runner that had bytes then and holds nothing now was reaped since; one
        that holds bytes now and had none then is gone already, or its bytes are still to come.

        Args:
            resident: own bytes of runner processes at the reading [bytes], where a missing one had none. None when
                nobody knows: then what is in use counts as resident and what is reserved as not.
        """
        self.sample = sample
        known = self._assumed_resident() if resident is None else resident
        self._freed_since_sample_bytes = sum(
            own_bytes for runner, own_bytes in known.items() if runner not in self._holdings
        )
        for holding in self._holdings.values():
            sampled = min(holding.own_bytes, known.get(holding.runner, 0))
            self._unsampled_bytes -= sampled - holding.sampled_bytes
            holding.sampled_bytes = sampled

    def _assumed_resident(self) -> dict[RunnerId, int]:
        used = (holding for holding in self._holdings.values() if holding.state is BytesState.USED)
        return {holding.runner: holding.own_bytes for holding in used}

    def reserve(self, runner: RunnerId, *, mapped_bytes: int, own_bytes: int) -> None:
        """Book the plan of one incarnation.

        Raises:
            InternalError: it has a holding already, or there is not as much.
        """
        if runner in self._holdings:
            raise InternalError(f"runner {runner} reserves on {self.device} a second time")
        holding = Holding(runner, self.device, mapped_bytes=mapped_bytes, own_bytes=own_bytes)
        if holding.total_bytes > self.free_bytes:
            raise InternalError(f"runner {runner} reserves more on {self.device} than there is")
        self._holdings[runner] = holding
        self.reserved_bytes += holding.total_bytes
        self._unsampled_bytes += holding.total_bytes

    def use(self, runner: RunnerId, *, mapped_bytes: int, own_bytes: int) -> None:
        """The model is loaded: the reported figures replace the plan."""
        holding = self._holdings[runner]
        self.reserved_bytes -= holding.total_bytes
        self._unsampled_bytes -= holding.unsampled_bytes
        self._fire(holding, BytesTrigger.LOADED)
        holding.mapped_bytes = mapped_bytes
        holding.own_bytes = own_bytes
        holding.sampled_bytes = min(holding.sampled_bytes, own_bytes)
        self.used_bytes += holding.total_bytes
        self._unsampled_bytes += holding.unsampled_bytes

    def release(self, runner: RunnerId) -> None:
        """The process is gone.

        Raises:
            InternalError: it has no holding: bytes are released exactly once.
        """
        holding = self._holdings.pop(runner, None)
        if holding is None:
            raise InternalError(f"runner {runner} releases on {self.device} what it does not hold")
        if holding.state is BytesState.USED:
            self.used_bytes -= holding.total_bytes
        else:
            self.reserved_bytes -= holding.total_bytes
        self._unsampled_bytes -= holding.unsampled_bytes
        self._freed_since_sample_bytes += holding.sampled_bytes
        self._fire(holding, BytesTrigger.GONE)

    def _fire(self, holding: Holding, trigger: BytesTrigger) -> None:
        outcome = _BYTES.fire(holding, trigger, None)
        if outcome.kind is not Kind.GO:
            raise InternalError(f"bytes of runner {holding.runner}: {outcome.source} x {trigger}: {outcome.why}")

    def held_by(self, runner: RunnerId) -> int:
        """Bytes that come free when this runner is gone [bytes]; 0 if it holds none."""
        holding = self._holdings.get(runner)
        return 0 if holding is None else holding.total_bytes

    def holding(self, runner: RunnerId) -> Holding | None:
        return self._holdings.get(runner)

    @property
    def booked_bytes(self) -> int:
        """Reserved, used and returning together [bytes]."""
        return self.reserved_bytes + self.used_bytes + self.returning_bytes

    @property
    def total_bytes(self) -> int:
        """What the device has [bytes]; 0 before the first sample."""
        return 0 if self.sample is None else self.sample.total_bytes

    @property
    def budget_bytes(self) -> int:
        """What runners may hold together [bytes]; 0 before the first sample."""
        if self.sample is None:
            return 0
        whole = self.sample.total_bytes - self._limits.host_overhead_bytes
        limit = self._limits.host_budget_bytes
        return max(0, whole if limit is None else min(limit, whole))

    @property
    def free_bytes(self) -> int:
        """What a new plan may take now [bytes]; negative when others took what runners were to have."""
        if self.sample is None:
            return 0
        by_books = self.budget_bytes - self.booked_bytes
        by_sample = (
            self.sample.free_bytes
            + self._freed_since_sample_bytes
            - self._unsampled_bytes
            - self._limits.host_overhead_bytes
        )
        return min(by_books, by_sample)

    def audit(self) -> None:
        """Recompute every sum from the holdings.

        Raises:
            InternalError: a running sum differs.
        """
        reserved = sum(h.total_bytes for h in self._holdings.values() if h.state is BytesState.RESERVED)
        used = sum(h.total_bytes for h in self._holdings.values() if h.state is BytesState.USED)
        unsampled = sum(h.unsampled_bytes for h in self._holdings.values())
        found = (reserved, used, unsampled)
        if found != (self.reserved_bytes, self.used_bytes, self._unsampled_bytes):
            raise InternalError(f"the books of {self.device} do not add up: {found}")


def host_ledger(limits: Limits) -> Ledger:
    """The books of host memory."""
    return Ledger(HOST, limits)
