"""Proof of progress: counts what the engine gets done, and says so at most every half second."""

import time
from collections.abc import Callable

from statemachines.units import PPM, seconds_to_ns
from statemachines.wire.messages import BEAT_INTERVAL_S, Beat, Progress, ToService

Clock = Callable[[], int]
"""Nanoseconds that only ever grow."""

PROGRESS_INTERVAL_S = 0.25


class Beats:
    """Steps begun and work done since the load; told while a lease is open.

    `node` is called for each node of a graph, some hundred times a step, inside it: so a step that takes long still
    beats, and one that hangs does not.
    """

    def __init__(self, send: Callable[[ToService], None], clock: Clock = time.monotonic_ns) -> None:
        self._send = send
        self._clock = clock
        self._due_ns = 0
        self.step = 0
        self._progress = 0

    def begin_step(self) -> None:
        self.step += 1
        self.node()

    def node(self) -> None:
        """Something was done."""
        self._progress += 1
        now_ns = self._clock()
        if now_ns >= self._due_ns:
            self._due_ns = now_ns + seconds_to_ns(BEAT_INTERVAL_S)
            self._send(Beat(self.step, self._progress))


class LoadProgress:
    """How far a load is: the first report, the last one, and a few a second between them."""

    def __init__(self, send: Callable[[ToService], None], clock: Clock = time.monotonic_ns) -> None:
        self._send = send
        self._clock = clock
        self._due_ns = 0

    def report(self, done: float) -> None:
        now_ns = self._clock()
        if now_ns >= self._due_ns or done >= 1:
            self._due_ns = now_ns + seconds_to_ns(PROGRESS_INTERVAL_S)
            self._send(Progress(round(done * PPM)))
