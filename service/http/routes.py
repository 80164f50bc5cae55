"""Every route: those that are served, and those of the same APIs that are not served yet."""

from typing import Any

import msgspec
from quart import Response

from service.http.errors import ApiError
from service.http.exchange import Exchange, Handler
from service.http.ollama.chat import chat
from service.http.ollama.generate import generate
from service.http.ollama.ps import ps
from service.http.ollama.show import show
from service.http.ollama.tags import tags
from service.http.ollama.version import root, version
from service.http.openai.chat import chat_completions
from service.http.openai.models import list_models, show_model
from service.http.operators.events import debug_events
from service.http.operators.gate import gated
from service.http.operators.health import health
from service.http.operators.machines import debug_machines
from service.http.operators.metrics import metrics
from service.http.operators.state import debug_state
from service.http.operators.tasks import debug_tasks


class Route(msgspec.Struct, frozen=True):
    """One path, the methods it knows, and who answers."""

    path: str
    methods: tuple[str, ...]
    handler: Handler


HEALTH = Route("/health", ("GET", "HEAD"), health)
SERVED = (
    Route("/", ("GET", "HEAD"), root),
    Route("/api/version", ("GET", "HEAD"), version),
    Route("/api/tags", ("GET", "HEAD"), tags),
    Route("/api/ps", ("GET",), ps),
    Route("/api/show", ("POST",), show),
    Route("/api/generate", ("POST",), generate),
    Route("/api/chat", ("POST",), chat),
    Route("/v1/models", ("GET",), list_models),
    # Of the converter "path", so that an id with a slash may be escaped or not.
    Route("/v1/models/<path:model>", ("GET",), show_model),
    Route("/v1/chat/completions", ("POST",), chat_completions),
    HEALTH,
)

OPERATORS = (
    Route("/debug/events", ("GET",), gated(debug_events)),
    Route("/debug/machines", ("GET",), gated(debug_machines)),
    Route("/debug/state", ("GET",), gated(debug_state)),
    Route("/debug/tasks", ("GET",), gated(debug_tasks)),
    Route("/metrics", ("GET",), gated(metrics)),
)

_LATER: dict[str, tuple[str, ...]] = {
    "/api/status": ("GET",),
    "/api/embed": ("POST",),
    "/api/embeddings": ("POST",),
    "/api/create": ("POST",),
    "/api/blobs/<digest>": ("POST", "HEAD"),
    "/api/copy": ("POST",),
    "/api/delete": ("DELETE",),
    "/api/pull": ("POST",),
    "/api/push": ("POST",),
    "/api/me": ("POST",),
    "/api/signout": ("POST",),
    "/api/user/keys/<key>": ("DELETE",),
    "/api/experimental/web_search": ("POST",),
    "/api/experimental/web_fetch": ("POST",),
    "/api/experimental/model-recommendations": ("GET",),
    "/v1/completions": ("POST",),
    "/v1/embeddings": ("POST",),
    "/v1/responses": ("POST",),
    "/v1/audio/transcriptions": ("POST",),
    "/v1/messages": ("POST",),
}


def _later(path: str) -> Handler:
    async def refuse(exchange: Exchange, **_: Any) -> Response:
        raise ApiError(501, f"{path} is not served yet")

    return refuse


NOT_SERVED = tuple(Route(path, methods, _later(path)) for path, methods in _LATER.items())
ROUTES = (*SERVED, *OPERATORS, *NOT_SERVED)
WITH_HEAD = frozenset(route.path for route in ROUTES if "HEAD" in route.methods)
