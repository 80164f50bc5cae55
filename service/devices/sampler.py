"""Reads the devices at an interval and on demand, one reading at a time.

Bytes move when runners start and end, so the core asks for a sample then (`SampleDevices`); in between, a slow beat
notices what others do. A reading that fails is said once and the last figures stay; a reading that hangs hangs in
its own thread, which is abandoned when the service ends.
"""

from collections.abc import Callable, Mapping
from functools import partial

import trio
from structlog.typing import FilteringBoundLogger

from service.ports import Clock, Devices
from service.reactor import Post
from service.threads import in_thread
from statemachines.errors import DeviceError
from statemachines.events import DevicesSampled
from statemachines.units import RunnerId

Pids = Callable[[], Mapping[RunnerId, int]]


class Sampler:
    """Posts `DevicesSampled`."""

    def __init__(
        self,
        devices: Devices,
        *,
        post: Post,
        clock: Clock,
        interval_ns: int,
        log: FilteringBoundLogger,
    ) -> None:
        self._devices = devices
        self._post = post
        self._clock = clock
        self._interval_ns = interval_ns
        self._log = log
        self._bell = trio.Event()
        self._is_failing = False

    def wake(self) -> None:
        """Read now. During a reading: read once more after it, because bytes may have moved behind its back."""
        self._bell.set()

    async def run(self, pids: Pids, *, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED) -> None:
        """Sample until cancelled; started once the first sample is posted.

        Args:
            pids: which runner processes live at the moment.

        Raises:
            DeviceError: the very first reading failed, so nothing could be planned.
        """
        self._post(await self._sampled(pids()))
        task_status.started()
        while True:
            with trio.move_on_at(self._clock.deadline(self._clock.now_ns() + self._interval_ns)):
                await self._bell.wait()
            self._bell = trio.Event()
            await self._sample(pids())

    async def _sample(self, pids: Mapping[RunnerId, int]) -> None:
        try:
            sampled = await self._sampled(pids)
        except DeviceError as error:
            self._complain(error)
            return
        self._is_failing = False
        self._post(sampled)

    async def _sampled(self, pids: Mapping[RunnerId, int]) -> DevicesSampled:
        """Beside the loop.

        Raises:
            DeviceError: the devices do not tell, or there is no thread or no descriptor to ask them with.
        """
        try:
            return await in_thread(partial(self._devices.sample, pids))
        except OSError as error:
            raise DeviceError(error.strerror or repr(error)) from error

    def _complain(self, error: DeviceError) -> None:
        if not self._is_failing:
            self._log.warning("memory could not be read; the last figures stay", error=str(error))
        self._is_failing = True
