"""Reads the devices at an interval and on demand, one reading at a time.

Bytes move when runners start and end, so the core asks for a sample then (`SampleDevices`); in between, a slow beat
notices what others do. A reading that fails is said once and the last figures stay; a reading that hangs hangs in
its own thread, which is abandoned when the service ends.
"""

from collections.abc import Callable, Mapping
from contextlib import suppress

import trio
from structlog.typing import FilteringBoundLogger

from service.ports import Clock, Devices
from service.reactor import Post
from statemachines.errors import DeviceError
from statemachines.events import DevicesSampled
from statemachines.units import RunnerId

READ_END_S = 1
"""How long the end of the service waits for a read; it takes about a millisecond."""

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
        self._post(await self._read(pids()))
        task_status.started()
        while True:
            with trio.move_on_at(self._clock.deadline(self._clock.now_ns() + self._interval_ns)):
                await self._bell.wait()
            self._bell = trio.Event()
            await self._sample(pids())

    async def _sample(self, pids: Mapping[RunnerId, int]) -> None:
        try:
            sampled = await self._read(pids)
        except DeviceError as error:
            self._complain(error)
            return
        self._is_failing = False
        self._post(sampled)

    async def _read(self, pids: Mapping[RunnerId, int]) -> DevicesSampled:
        """In a thread, which is left behind if it hangs; an ordinary read is seen to its end, or its files stay open.

        Raises:
            DeviceError: the devices do not tell.
        """
        done, token = trio.Event(), trio.lowlevel.current_trio_token()

        def read() -> DevicesSampled:
            try:
                return self._devices.sample(pids)
            finally:
                with suppress(trio.RunFinishedError):
                    token.run_sync_soon(done.set)

        await trio.lowlevel.checkpoint_if_cancelled()  # From here on the thread is sure to start.
        try:
            return await trio.to_thread.run_sync(read, abandon_on_cancel=True)
        except trio.Cancelled:
            with trio.move_on_after(READ_END_S, shield=True):
                await done.wait()
            raise

    def _complain(self, error: DeviceError) -> None:
        if not self._is_failing:
            self._log.warning("memory could not be read; the last figures stay", error=str(error))
        self._is_failing = True
