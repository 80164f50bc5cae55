"""Who a runner is, for everybody who writes a line about it: id, pid, model, state, status, time since its birth."""

from structlog.typing import FilteringBoundLogger

from service.logs import LEVELS
from service.ports import Clock
from statemachines.units import NS_PER_MS, RunnerId


class RunnerRecord:
    """What every log line about one incarnation carries.

    Attributes:
        pid: None until the process is there.
        state: the core's word, kept up to date by the executor.
        status: ``not responding`` until the runner has answered, never ``error``: a process that is starting is not
            broken.
    """

    def __init__(self, runner: RunnerId, model: str, *, clock: Clock, log: FilteringBoundLogger) -> None:
        self.runner = runner
        self.model = model
        self.pid: int | None = None
        self.state = "loading"
        self.status = "not responding"
        self._clock = clock
        self._log = log
        self._born_ns = clock.now_ns()

    def say(self, level: str, line: str, **fields: object) -> None:
        """One log line; ``fields`` come after what all lines carry."""
        elapsed_ms = (self._clock.now_ns() - self._born_ns) // NS_PER_MS
        who = {"runner": self.runner, "pid": self.pid, "model": self.model, "state": self.state}
        self._log.log(LEVELS[level], line, **who, status=self.status, elapsed_ms=elapsed_ms, **fields)
