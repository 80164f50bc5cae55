"""What to tell somebody whose request waits, read from `/debug/state`."""

from typing import Any

import trio

from service.cli.client import Client
from service.cli.names import same_model
from service.cli.terminal import StatusLine

_POLL_S = 0.25
"""Often enough to look alive, rarely enough to cost nothing."""


async def report_waiting(client: Client, model: str, status: StatusLine, heard: trio.Event) -> None:
    """Keep the status line current until ``heard`` is set."""
    watched: int | None = None
    while not heard.is_set():
        state = await client.state()
        watched = _ours(state, model, watched)
        if not heard.is_set():
            status.show(waiting_words(state, model, watched))
        with trio.move_on_after(_POLL_S):
            await heard.wait()


def waiting_words(state: dict[str, Any], model: str, request: int | None) -> str:
    """One line on why there is no answer yet.

    1. The load that the request waits for has a runner: how far it is.
    2. It waits behind others: its place and the cause.
    3. It waits for another reason: the cause.
    4. It has its lease: the model reads the prompt.
    5. Nothing is known: the model's name.
    """
    own = next((view for view in _views(state, "requests") if view.get("request") == request), None)
    if own is None:  # (5)
        return f"{model}: waiting for the server"
    runner = _loading(state, own)
    cause = (own.get("cause") or {}).get("words") or "waiting for its turn"
    if runner is not None:  # (1)
        return f"{model}: loading, {int(runner.get('progress_ppm', 0)) // 10_000} %"
    if own.get("lease") is not None:  # (4)
        return f"{model}: reading the prompt"
    place = int(own.get("position", 0))
    return f"{model}: place {place + 1}, {cause}" if place else f"{model}: {cause}"  # (2) (3)


def _ours(state: dict[str, Any], model: str, watched: int | None) -> int | None:
    """The request to tell about: the one watched so far while it lives, else the newest for this model.

    The server does not say over which connection a request came. Between two people who ask for one model in the
    same quarter of a second the line may show the other's place, which is one away from their own.
    """
    numbers = [view["request"] for view in _views(state, "requests") if same_model(view.get("model", ""), model)]
    return watched if watched in numbers else max(numbers, default=None)


def _loading(state: dict[str, Any], request: dict[str, Any]) -> dict[str, Any] | None:
    load = request.get("load")
    runners = (view for view in _views(state, "runners") if view.get("state") == "loading")
    return next((view for view in runners if load is not None and view.get("load") == load), None)


def _views(state: dict[str, Any], name: str) -> list[dict[str, Any]]:
    views = state.get(name)
    return [view for view in views if isinstance(view, dict)] if isinstance(views, list) else []
