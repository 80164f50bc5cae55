"""Requests and loads, as the core's steps tell of them."""

from dataclasses import dataclass

from prometheus_client import Counter

from service.metrics.models import ModelLabels
from service.metrics.registry import Metrics
from statemachines.effects import GrantLease, RefuseRequest, ReportTransition
from statemachines.events import RequestArrived
from statemachines.request import RequestTrigger
from statemachines.states import LoadState, RequestState
from statemachines.units import NS_PER_S, RequestId

WAIT_BUCKETS_S = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 120, 300, 600)
"""From a model that is loaded and a short prompt to the longest wait."""


@dataclass
class _Open:
    """A request that is not DONE. ``outcome`` is what it will have been, as far as is known."""

    model: str
    arrived_at: int
    outcome: str = "left"
    is_granted: bool = False


class RequestCounts:
    """Counts requests by how they ended, and how long they waited.

    Args:
        refusals: by code.
    """

    def __init__(self, metrics: Metrics, models: ModelLabels, refusals: Counter) -> None:
        self._models = models
        self._refusals = refusals
        self._open: dict[RequestId, _Open] = {}
        self._ends = metrics.counter("requests_total", "Requests for a model that are over", "model", "outcome")
        self._waits = metrics.histogram(
            "wait_seconds", "From a request's arrival to its slot", WAIT_BUCKETS_S, "waited_for"
        )
        self._loads = metrics.counter("loads_total", "Loads that are over", "outcome")

    def see_arrival(self, arrival: RequestArrived, at: int) -> None:
        self._open.setdefault(arrival.request, _Open(self._models.of(arrival.model), at))

    def see_grant(self, grant: GrantLease, at: int) -> None:
        """The first one counts: a request that is tried again has had its wait."""
        request = self._open[grant.request]
        if not request.is_granted:
            waited_ns = at - request.arrived_at
            waited_for = "load" if grant.waited_load is not None else "slot" if waited_ns else "nothing"
            self._waits.labels(waited_for).observe(waited_ns / NS_PER_S)
        request.is_granted = True

    def see_refusal(self, refused: RefuseRequest, _at: int) -> None:
        self._refusals.labels(refused.refusal.code).inc()
        request = self._open[refused.request]
        request.outcome = "lost" if request.is_granted else "refused"

    def see_request(self, moved: ReportTransition, _at: int) -> None:
        """A lease that ends before its handler was an answer; the other way round the client left, or only loaded."""
        request = self._open[RequestId(moved.id)]
        if moved.target == RequestState.RELEASING and moved.trigger == RequestTrigger.LEASE_ENDED:
            request.outcome = "answered"
        if moved.target == RequestState.DONE:
            self._ends.labels(request.model, request.outcome).inc()
            del self._open[RequestId(moved.id)]

    def see_load(self, moved: ReportTransition, _at: int) -> None:
        if moved.target not in (LoadState.WAITING, LoadState.STARTING):
            self._loads.labels(moved.target).inc()
