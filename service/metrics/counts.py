"""What the service has done, counted as it happens.

Theory of operation. `Counts` is a witness: the reactor shows it each event with the effects that the core answered,
and everything about requests, loads and runners is told by those. Only what never passes the reactor has a call of its
own (`answers`). Nobody who decides asks here, nothing is called once per token, and what is remembered of a request or
a runner goes with it.
"""

from collections.abc import Callable
from typing import Any

from service.metrics.answers import AnswerCounts
from service.metrics.models import ModelLabels
from service.metrics.registry import Metrics
from service.metrics.requests import RequestCounts
from service.metrics.runners import RunnerCounts
from statemachines import effects, events
from statemachines.effects import AnyEffect
from statemachines.events import AnyEvent

See = Callable[[Any, int], None]


class Counts:
    """All counters and histograms of one service.

    Args:
        models_max: models that are told apart [count].

    Attributes:
        metrics: where they are found again.
        answers: for what does not pass the reactor.
    """

    def __init__(self, metrics: Metrics, *, models_max: int) -> None:
        self.metrics = metrics
        models = ModelLabels(models_max)
        refusals = metrics.counter("refusals_total", "Requests that were refused, or lost and told why", "code")
        requests, runners = RequestCounts(metrics, models, refusals), RunnerCounts(metrics, models)
        self.answers = AnswerCounts(metrics, models, refusals)
        self._illegal = metrics.counter("illegal_events_total", "Events that must not happen and happened")
        self._kinds: dict[type, See] = {
            events.RequestArrived: requests.see_arrival,
            events.LoadFailed: runners.see_load_failure,
            events.ProcessExited: runners.see_exit,
            effects.GrantLease: requests.see_grant,
            effects.RefuseRequest: requests.see_refusal,
            effects.SpawnRunner: runners.see_start,
            effects.ReportTransition: self._see_transition,
            effects.ReportIllegal: lambda _effect, _at: self._illegal.inc(),
        }
        self._machines: dict[str, See] = {
            "request": requests.see_request,
            "load": requests.see_load,
            "runner": runners.see_runner,
        }

    def see(self, event: AnyEvent, answer: tuple[AnyEffect, ...]) -> None:
        """One step of the core."""
        for item in (event, *answer):
            see = self._kinds.get(type(item))
            if see is not None:
                see(item, event.at)

    def _see_transition(self, moved: effects.ReportTransition, at: int) -> None:
        see = self._machines.get(moved.machine)
        if see is not None:
            see(moved, at)
