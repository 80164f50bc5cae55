"""What there is at the moment somebody looks: read from the snapshot, never kept."""

from collections.abc import Callable, Iterator

from prometheus_client.core import Metric
from prometheus_client.registry import Collector

from service.journal import RingJournal
from service.metrics.families import counter, counters, gauge, gauges, tally
from statemachines.causes import Cause
from statemachines.lifecycle import ServiceState
from statemachines.limits import Limits
from statemachines.snapshot import StateView
from statemachines.spare import SpareState
from statemachines.states import LoadState, RequestState, RunnerState, Stage
from statemachines.units import NS_PER_S

IGNORED = "ignored_"
"""How the core's counters of dropped events begin."""
_DEVICE_BYTES = {
    "total": "Memory of the device",
    "free": "Of this, what can be had now",
    "budget": "What runners may hold together",
    "reserved": "What loads in progress will hold",
    "used": "What loaded models hold",
    "returning": "What runners held that are gone, until the device shows it as free",
}


class Figures(Collector):
    """Gauges of the core's state, of the reactor and of the journal.

    Args:
        snapshot: the core as of its last step.
        now_ns: core time.
        spare: the state of the spare.
        inbox_len: events that the core has not seen yet [count].
        build: versions, by name.
    """

    def __init__(
        self,
        *,
        snapshot: Callable[[], StateView],
        now_ns: Callable[[], int],
        spare: Callable[[], str],
        inbox_len: Callable[[], int],
        journal: RingJournal,
        limits: Limits,
        build: dict[str, str],
    ) -> None:
        self._snapshot = snapshot
        self._now_ns = now_ns
        self._spare = spare
        self._inbox_len = inbox_len
        self._journal = journal
        self._limits = limits
        self._build = build

    def collect(self) -> Iterator[Metric]:
        """See `prometheus_client.registry.Collector`."""
        view = self._snapshot()
        yield from self._service(view)
        yield from _runners(view)
        yield from self._requests(view)
        yield from _loads(view)
        for name, words in _DEVICE_BYTES.items():
            sizes = {str(device.device): getattr(device, f"{name}_bytes") for device in view.devices}
            yield gauges(f"device_{name}_bytes", words, "device", sizes)

    def _service(self, view: StateView) -> Iterator[Metric]:
        build = gauge("build_info", "1, and the versions as labels", 1)
        build.samples[0] = build.samples[0]._replace(labels=dict(self._build))
        yield build
        yield tally("service_state", "1 for the state that the service is in", "state", ServiceState, [view.service])
        ignored = {name.removeprefix(IGNORED): n for name, n in view.counters.items() if name.startswith(IGNORED)}
        yield counters("ignored_events", "Events that came late or twice, by whom they met", "what", ignored)
        yield tally(
            "spare",
            "1 for the state that the spare is in",
            "state",
            SpareState,
            [self._spare()],
        )
        yield gauge("inbox_events", "Events that the core has not seen yet", self._inbox_len())
        yield counter("journal_steps", "Steps of the core", self._journal.written)
        yield gauge("journal_kept_steps", "Of these, what the journal still holds", self._journal.kept)
        yield counter("journal_dumps", "Times that the journal was written out", self._journal.dumps)

    def _requests(self, view: StateView) -> Iterator[Metric]:
        alive = (RequestState.WAITING, RequestState.LEASED, RequestState.RELEASING)
        yield tally("open_requests", "Requests that are not over", "state", alive, [one.state for one in view.requests])
        yield gauge("queue_limit_requests", "Requests that may wait at once", self._limits.queue_len_max)
        causes = [one.cause.cause for one in view.requests if one.cause is not None]
        yield tally("request_waits", "Requests that wait, by cause", "cause", Cause, causes)
        waiting = [one.arrived_at for one in view.requests if one.state is RequestState.WAITING]
        oldest_s = (self._now_ns() - min(waiting)) / NS_PER_S if waiting else 0
        yield gauge("oldest_wait_seconds", "Age of the oldest request that waits", oldest_s)


def _runners(view: StateView) -> Iterator[Metric]:
    alive = (RunnerState.LOADING, RunnerState.READY, RunnerState.UNLOADING)
    yield tally("runners", "Runners that are not dead", "state", alive, [one.state for one in view.runners])
    fenced = sum(one.fence is not None for one in view.runners)
    yield gauge("fenced_runners", "Runners that take nothing new because a load waits for them to leave", fenced)
    unreapable = sum(one.stage is Stage.UNREAPABLE for one in view.runners)
    yield gauge("unreapable_runners", "Runners whose process not even SIGKILL ends", unreapable)
    yield gauge("leases", "Slots that are taken", sum(len(one.leases) for one in view.runners))


def _loads(view: StateView) -> Iterator[Metric]:
    alive = (LoadState.WAITING, LoadState.STARTING)
    yield tally("open_loads", "Loads that are not over", "state", alive, [one.state for one in view.loads])
    causes = [one.cause.cause for one in view.loads if one.cause is not None]
    yield tally("load_waits", "Loads that wait, by cause", "cause", Cause, causes)
