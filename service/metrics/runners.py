"""Runners, as the core's steps tell of them: how long they load, and why they leave."""

from dataclasses import dataclass

from service.metrics.models import ModelLabels
from service.metrics.registry import Metrics
from statemachines.effects import ReportTransition, SpawnRunner
from statemachines.events import LoadFailed, ProcessExited
from statemachines.facts import LoadFailure
from statemachines.runner import RunnerTrigger
from statemachines.states import RunnerState
from statemachines.units import NS_PER_S, RunnerId

LOAD_BUCKETS_S = (0.1, 0.25, 0.5, 1, 2.5, 5, 10, 20, 30, 60, 120, 300)

LEAVING: dict[RunnerTrigger, str] = {
    RunnerTrigger.VICTIM_CHOSEN: "victim",
    RunnerTrigger.FENCE_RAISED: "fence",
    RunnerTrigger.LEASE_ENDED: "fence",
    RunnerTrigger.IDLE_EXPIRED: "idle",
    RunnerTrigger.GRACE_EXPIRED: "grace",
    RunnerTrigger.OPERATOR_STOP_FORCED: "operator",
    RunnerTrigger.SHUTDOWN_ORDERED: "shutdown",
    RunnerTrigger.SHUTDOWN_FORCED: "shutdown",
    RunnerTrigger.SPAWN_FAILED: "spawn_failed",
    RunnerTrigger.LOAD_FAILED: "load_failed",
    RunnerTrigger.LOAD_STALLED: "load_stalled",
    RunnerTrigger.LINK_LOST: "link_lost",
    RunnerTrigger.PROCESS_EXITED: "exited",
    RunnerTrigger.WEDGED: "wedged",
    RunnerTrigger.DEVICE_LOST: "device_lost",
}
"""Why a runner leaves: a word for each trigger that takes one out of LOADING or READY."""
EVICTIONS = ("victim", "fence")
"""Of these, what makes room for another load."""
OUT_OF_MEMORY = "out_of_memory"
"""Outranks the others: that memory ended a process may be noticed by its link, its exit or its own word."""


@dataclass
class _Live:
    """An incarnation that is not DEAD. ``cause`` is why it leaves, once it does."""

    model: str
    ordered_at: int
    cause: str = ""


class RunnerCounts:
    """Counts starts, ends and evictions of runners."""

    def __init__(self, metrics: Metrics, models: ModelLabels) -> None:
        self._models = models
        self._live: dict[RunnerId, _Live] = {}
        self._starts = metrics.counter("runner_starts_total", "Runners that were ordered", "model")
        self._ends = metrics.counter("runner_ends_total", "Runners that are gone, by why they left", "cause")
        self._evictions = metrics.counter("evictions_total", "Runners that had to leave for another load", "cause")
        self._load_seconds = metrics.histogram(
            "load_seconds", "From the order to start a runner to its loaded model", LOAD_BUCKETS_S, "model"
        )
        self._wasted = metrics.counter("wasted_load_seconds_total", "Time of loads that came to nothing")

    def see_start(self, order: SpawnRunner, at: int) -> None:
        model = self._models.of(order.model)
        self._live[order.runner] = _Live(model, at)
        self._starts.labels(model).inc()

    def see_load_failure(self, failed: LoadFailed, _at: int) -> None:
        if failed.kind is LoadFailure.OUT_OF_MEMORY:
            self._blame_memory(failed.runner)

    def see_exit(self, exited: ProcessExited, _at: int) -> None:
        if exited.exit.was_out_of_memory:
            self._blame_memory(exited.runner)

    def _blame_memory(self, runner: RunnerId) -> None:
        """Of a runner that is dead already nothing is left to be said."""
        if runner in self._live:
            self._live[runner].cause = OUT_OF_MEMORY

    def see_runner(self, moved: ReportTransition, at: int) -> None:
        runner = self._live[RunnerId(moved.id)]
        if moved.source == RunnerState.LOADING:
            self._see_loading_end(runner, moved, (at - runner.ordered_at) / NS_PER_S)
        if moved.target != RunnerState.READY:
            self._see_leaving(runner, moved)

    def _see_loading_end(self, runner: _Live, moved: ReportTransition, took_s: float) -> None:
        if moved.target == RunnerState.READY:
            self._load_seconds.labels(runner.model).observe(took_s)
        else:
            self._wasted.inc(took_s)

    def _see_leaving(self, runner: _Live, moved: ReportTransition) -> None:
        runner.cause = runner.cause or LEAVING[RunnerTrigger(moved.trigger)]
        if moved.target == RunnerState.UNLOADING and runner.cause in EVICTIONS:
            self._evictions.labels(runner.cause).inc()
        if moved.target == RunnerState.DEAD:
            self._ends.labels(runner.cause).inc()
            del self._live[RunnerId(moved.id)]
