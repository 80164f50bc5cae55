"""Devices whose figures a test sets, and which fail when it says so."""

from collections.abc import Mapping

from statemachines.errors import DeviceError
from statemachines.events import DeviceSample, DevicesSampled, Resident
from statemachines.units import GIB, HOST, RunnerId


class FixedDevices:
    """One host with memory enough, until told otherwise."""

    def __init__(self, total_bytes: int = 16 * GIB, free_bytes: int = 12 * GIB) -> None:
        self.total_bytes = total_bytes
        self.free_bytes = free_bytes
        self.fault: str | OSError | None = None
        self.readings = 0

    def sample(self, pids: Mapping[RunnerId, int]) -> DevicesSampled:
        self.readings += 1
        if isinstance(self.fault, OSError):
            raise self.fault
        if self.fault is not None:
            raise DeviceError(self.fault)
        host = DeviceSample(HOST, self.total_bytes, self.free_bytes, "fake")
        return DevicesSampled(samples=(host,), resident=tuple(Resident(runner, 0) for runner in pids))
