"""Is the service fit to serve? Asked of the one loop that decides, through its own inbox.

Theory of operation. A probe stands in line with the events, so an answer means that everything before it was decided,
written down and performed. Whoever asks while one is under way waits for that one: however many ask, the inbox holds
at most one. The time of the answer is what counts, not that it came: a loop that stood still answers at once when it
goes on, and that is late. It says nothing of any one model or runner.
"""

from collections.abc import Callable

import trio

from service.ports import Clock
from service.reactor import Probe
from statemachines.errors import Refusal, RefusalCode
from statemachines.units import format_duration


class Health:
    """Asks the reactor, and then the core.

    Args:
        ask: puts a probe into the reactor's inbox.
        closed: why the core takes no request at a moment; None when it does.
        limit_ns: how long the answer may take.
    """

    def __init__(
        self, *, ask: Callable[[], Probe], closed: Callable[[int], Refusal | None], clock: Clock, limit_ns: int
    ) -> None:
        self._ask = ask
        self._closed = closed
        self._clock = clock
        self._limit_ns = limit_ns
        self._probe: Probe | None = None
        self._asked_at = 0

    async def refusal(self) -> Refusal | None:
        """Why a request would not be served now, or None."""
        probe, asked_at = self._asking(), self._asked_at
        with trio.move_on_at(self._clock.deadline(asked_at + self._limit_ns)):
            await probe.answered()
        if probe.answered_at is None or probe.answered_at - asked_at > self._limit_ns:
            return self._too_late()
        return self._closed(probe.answered_at)

    def _asking(self) -> Probe:
        """The probe that is under way, or a new one."""
        if self._probe is None or self._probe.answered_at is not None:
            self._asked_at, self._probe = self._clock.now_ns(), self._ask()
        return self._probe

    def _too_late(self) -> Refusal:
        limit = format_duration(self._limit_ns)
        return Refusal(
            RefusalCode.NOT_READY,
            f"the server's scheduler has not answered within {limit} (setting health_s); it is overloaded or stuck",
        )
