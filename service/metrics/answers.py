"""What never passes the reactor: tokens, first texts, HTTP answers. Each is told once, by whoever sees its end."""

from prometheus_client import Counter

from service.metrics.models import ModelLabels
from service.metrics.registry import Metrics
from service.metrics.requests import WAIT_BUCKETS_S
from statemachines.units import NS_PER_S
from statemachines.wire.messages import LeaseEnded


class AnswerCounts:
    """Counts answers by their figures.

    Args:
        refusals: by code; a runner may refuse a question as well as the core.
    """

    def __init__(self, metrics: Metrics, models: ModelLabels, refusals: Counter) -> None:
        self._models = models
        self._refusals = refusals
        self._first_text = metrics.histogram(
            "time_to_first_token_seconds", "From a request's arrival to its first text", WAIT_BUCKETS_S, "model"
        )
        self._replies = metrics.counter("http_replies_total", "HTTP answers that were begun", "route", "status")
        self._prompt_tokens = metrics.counter("prompt_tokens_total", "Tokens of prompts", "model")
        self._cached_tokens = metrics.counter("prompt_tokens_cached_total", "Of these, not evaluated anew", "model")
        self._output_tokens = metrics.counter("output_tokens_total", "Tokens that were generated", "model")
        self._prompt_time = metrics.counter("prompt_seconds_total", "Time that prompts took in the engine", "model")
        self._output_time = metrics.counter("output_seconds_total", "Time that generating took in the engine", "model")

    def note_end(self, model: str, ended: LeaseEnded) -> None:
        """The runner's last word about a lease; its figures are another process's word."""
        label, usage = self._models.of(model), ended.usage
        self._prompt_tokens.labels(label).inc(max(0, usage.prompt_tokens))
        self._cached_tokens.labels(label).inc(max(0, usage.cached_tokens))
        self._output_tokens.labels(label).inc(max(0, usage.output_tokens))
        self._prompt_time.labels(label).inc(max(0, usage.prompt_ns) / NS_PER_S)
        self._output_time.labels(label).inc(max(0, usage.output_ns) / NS_PER_S)
        if ended.refusal is not None:
            self._refusals.labels(ended.refusal.code).inc()

    def note_first_text(self, model: str, after_ns: int) -> None:
        """The first text of an answer has reached its handler."""
        self._first_text.labels(self._models.of(model)).observe(after_ns / NS_PER_S)

    def note_reply(self, route: str, status: int) -> None:
        """An HTTP answer has its status.

        Args:
            route: the pattern of the path, never the path itself: anybody can make paths up.
        """
        self._replies.labels(route, str(status)).inc()
