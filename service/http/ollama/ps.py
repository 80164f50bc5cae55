"""``GET /api/ps``: the models that are loaded, loading or leaving."""

from quart import Response

from service.front import Front, StoredModel
from service.http.exchange import Exchange
from service.http.facts import facts_or_none
from service.http.ollama.details import details
from service.http.replies import json_reply
from service.http.times import rfc3339_local
from statemachines.facts import ModelFacts
from statemachines.snapshot import RunnerView, StateView
from statemachines.states import RunnerState
from statemachines.units import FOREVER_NS


async def ps(exchange: Exchange) -> Response:
    """All live runners, the one that expires last first."""
    view = exchange.front.snapshot()
    runners = sorted(view.runners, key=lambda runner: (-expires_ns(exchange.front, view, runner), runner.runner))
    return json_reply({"models": [await _entry(exchange.front, view, runner) for runner in runners]})


def expires_ns(front: Front, view: StateView, runner: RunnerView) -> int:
    """When a runner is unloaded if nothing happens, in wall time.

    (1) A deadline that runs says so. (2) A runner that is leaving is past it. (3) Otherwise its keep-alive would
    start now; one without an end lies some 292 years ahead.
    """
    now_ns = front.wall_time_ns(view.at)
    if runner.expires_at is not None and runner.expires_at < FOREVER_NS:  # (1)
        return front.wall_time_ns(runner.expires_at)
    if runner.state is RunnerState.UNLOADING:  # (2)
        return now_ns
    return now_ns + min(runner.keep_alive_ns, FOREVER_NS)  # (3)


async def _entry(front: Front, view: StateView, runner: RunnerView) -> dict[str, object]:
    model = _stored(front, runner)
    facts = await _facts(front, model)
    return {
        "name": runner.model,
        "model": runner.model,
        "size": runner.mapped_bytes + runner.own_bytes,
        "digest": (model.digest if model else None) or "",
        "details": details(facts),
        "expires_at": rfc3339_local(expires_ns(front, view, runner)),
        "size_vram": 0,  # host memory is the one device so far
        "context_length": runner.loaded.context_tokens if runner.loaded else runner.context_tokens,
    }


def _stored(front: Front, runner: RunnerView) -> StoredModel | None:
    """The file behind a runner; None when it is gone or replaced."""
    named = (model for model in front.store.models() if model.name == runner.model)
    return next(named, None)


async def _facts(front: Front, model: StoredModel | None) -> ModelFacts | None:
    return await facts_or_none(front.store, model) if model else None
