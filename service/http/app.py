"""The HTTP application and the settings of the server that carries it."""

import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any, cast

import structlog
from hypercorn.config import Config
from quart import Quart, Response
from quart import request as current_request
from structlog.typing import FilteringBoundLogger
from werkzeug.exceptions import MethodNotAllowed, NotFound
from werkzeug.routing import MapAdapter, RequestRedirect

from service.config import Settings
from service.front import Front
from service.http import guard
from service.http.admission import Admission
from service.http.body_room import BodyRoom
from service.http.cors import Origins
from service.http.doors import Door
from service.http.exchange import App, Exchange, Handler, Now, StackedRequest, is_answered_here
from service.http.failures import answer_to
from service.http.replies import BARE_TEXT, reply
from service.http.routes import HEALTH, OPERATORS, ROUTES, WITH_HEAD
from service.operators.lookout import Lookout
from service.quoting import quoted
from service.version import own_version
from statemachines.units import NS_PER_S

SERVER = f"roundhouse/{own_version()}"
"""What the ``Server`` header says; the CLI knows us by it."""


class ServerConfig(Config):
    """Hypercorn's settings, with our name and an id on every answer, also on those that the HTTP parser gives.

    Args:
        new_label: an id for such an answer; the application has its own.
    """

    def __init__(self, new_label: Callable[[], str]) -> None:
        super().__init__()
        self._new_label = new_label

    def response_headers(self, protocol: str) -> list[tuple[bytes, bytes]]:
        """What every answer carries."""
        headers = [*super().response_headers(protocol), (b"server", SERVER.encode())]
        if not is_answered_here.get():
            headers.append((b"x-request-id", self._new_label().encode()))
        return headers


def hypercorn_config(settings: Settings, new_label: Callable[[], str]) -> Config:
    """How hypercorn's protocol should carry the app."""
    config = ServerConfig(new_label)
    config.include_server_header = False  # its own
    config.accesslog = None
    config.errorlog = None
    config.server_names = []  # the Host guard is ours
    config.h11_max_incomplete_size = settings.head_bytes_max
    return config


def create_app(
    front: Front,
    lookout: Lookout,
    door: Door = Door.BOTH,
    *,
    now_ns: Now = time.monotonic_ns,
    wall_ns: Now = time.time_ns,
    log: FilteringBoundLogger | None = None,
) -> Quart:
    """The application over ``front``, as it answers at one door.

    Nothing of it lives in the framework's nursery: a request is its connection's task and ends with it.
    """
    app = App("service.http", static_folder=None)
    app.body_room = BodyRoom(front.settings.bodies_bytes_max)
    app.config["MAX_CONTENT_LENGTH"] = front.settings.body_bytes_max
    app.config["BODY_TIMEOUT"] = front.settings.body_ns / NS_PER_S
    app.config["RESPONSE_TIMEOUT"] = None  # it would cut streams, and open a cancel scope across a lease's
    app.url_map.merge_slashes = False
    for route in (HEALTH, *OPERATORS) if door is Door.OPERATORS else ROUTES:
        app.add_url_rule(
            route.path,
            endpoint=route.path,
            view_func=_view(route.handler),
            methods=list(route.methods),
            provide_automatic_options=False,
        )
    _install(app, _Making(front, lookout, door, now_ns, wall_ns, log or structlog.get_logger()))
    return app


@dataclass(frozen=True, slots=True)
class _Making:
    """Makes the `Exchange` of each request."""

    front: Front
    lookout: Lookout
    door: Door
    now_ns: Now
    wall_ns: Now
    log: FilteringBoundLogger

    def exchange(self) -> Exchange:
        request = self.front.next_request()
        return Exchange(
            front=self.front,
            lookout=self.lookout,
            door=self.door,
            request=request,
            label=self.front.request_label(request),
            stack=_current().exit_stack,
            now_ns=self.now_ns,
            wall_ns=self.wall_ns,
            started_ns=self.now_ns(),
            log=self.log,
        )


def _install(app: App, making: _Making) -> None:
    """What surrounds every handler: admission before, errors and headers after."""
    settings = making.front.settings
    is_guarded = making.door is Door.OPERATORS or guard.listens_locally(settings.host)
    admission = Admission(Origins(settings.origins), is_guarded, guard.machine_name(), WITH_HEAD)

    def before() -> Response | None:
        _current().exchange = making.exchange()
        return admission.judge()

    def after(response: Response) -> Response:
        response.headers["X-Request-Id"] = _current().exchange.label
        response.headers.update(admission.headers())
        return response

    def note(request: StackedRequest, status: int) -> None:
        _note(making.log, request, status)
        making.lookout.counts.answers.note_reply(_pattern(request), status)

    async def failed(error: Exception) -> Response:
        target = _slash_redirect(app) if isinstance(error, NotFound) else None
        return target or answer_to(error, label=_current().exchange.label, settings=settings, log=making.log)

    app.before = before
    app.after = after
    app.note = note
    app.register_error_handler(Exception, failed)


def _current() -> StackedRequest:
    return cast(StackedRequest, cast(Any, current_request)._get_current_object())  # the request, not its proxy


def _note(log: FilteringBoundLogger, request: StackedRequest, status: int) -> None:
    """One line an answer, at its beginning; the path as it came, because its escapes are what keeps a log clean."""
    path = _raw_path(request)
    label = request.exchange.label
    log.debug("answering", request=label, method=request.method, path=quoted(path), status=status)


def _raw_path(request: StackedRequest) -> str:
    raw: bytes = cast(dict[str, Any], request.scope)["raw_path"]
    return raw.decode("ascii", "replace")


def _pattern(request: StackedRequest) -> str:
    """The route as it is declared: its paths may be anybody's invention."""
    rule = request.url_rule
    return "none" if rule is None else rule.rule


def _view(handler: Handler) -> Callable[..., Awaitable[Response]]:
    async def view(**arguments: Any) -> Response:
        return await handler(_current().exchange, **arguments)

    return view


def _slash_redirect(app: App) -> Response | None:
    """To the same path without its trailing slash, where that is a route of the method: 301 for GET, else 307.

    The path as it came: what its escapes stand for may not be said in a head.
    """
    raw, query = _raw_path(_current()), current_request.query_string.decode("latin-1")
    if not (raw.startswith("/") and raw.endswith("/")) or raw == "/":
        return None
    if not _is_route(app.url_map.bind("", default_method=current_request.method), current_request.path[:-1]):
        return None
    target = "/" + raw.strip("/") + (f"?{query}" if query else "")  # Two at the beginning would name a server.
    return reply(b"", 301 if current_request.method == "GET" else 307, BARE_TEXT, {"Location": target})


def _is_route(adapter: MapAdapter, path: str) -> bool:
    try:
        return bool(adapter.match(path))
    except (NotFound, MethodNotAllowed, RequestRedirect):
        return False
