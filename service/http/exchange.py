"""One HTTP request as a handler sees it, and the app that makes one for each.

An answer is streamed after its handler has returned, so what the handler opened (a lease, a stream) must outlive it
and still be closed on every path: the answer sent, the client gone, a send that failed before the first byte. That is
what the exit stack is for: the connection owns it, and closes it last.
"""

from collections.abc import Awaitable, Callable
from contextlib import AsyncExitStack
from contextvars import ContextVar
from dataclasses import dataclass
from functools import partial
from typing import Any, cast
from urllib.parse import urlsplit

import trio
from hypercorn.typing import ASGIReceiveCallable, ASGISendCallable, HTTPScope
from quart import Quart, Response
from quart import request as current_request
from quart.asgi import ASGIHTTPConnection
from quart.ctx import RequestContext
from quart.typing import ResponseTypes
from quart.wrappers import Request as QuartRequest
from quart_trio import QuartTrio
from quart_trio.asgi import TrioASGIHTTPConnection
from quart_trio.wrappers import TrioRequest
from structlog.typing import FilteringBoundLogger

from service.front import Front
from service.http.body_room import BodyRoom, RefusableBody
from service.http.doors import Door
from service.http.errors import ApiError
from service.http.late_start import LateStart
from service.operators.lookout import Lookout
from statemachines.units import RequestId

Now = Callable[[], int]
"""Reads a clock [ns]."""
Handler = Callable[..., Awaitable[Response]]
"""Answers one route: given the `Exchange` and what the route's pattern names."""

is_answered_here: ContextVar[bool] = ContextVar("is_answered_here", default=False)
"""Whether the application gives the answer that is being sent, and not the HTTP parser below it."""


@dataclass(frozen=True, slots=True)
class Exchange:
    """What a handler has to work with.

    Attributes:
        lookout: what operators may look at.
        door: the listener it came in by.
        request, label: this request, for the core and for people.
        stack: closes what outlives the handler once the answer is sent or given up.
        now_ns, wall_ns: monotonic and wall time.
        started_ns: `now_ns` when the request came in.
    """

    front: Front
    lookout: Lookout
    door: Door
    request: RequestId
    label: str
    stack: AsyncExitStack
    now_ns: Now
    wall_ns: Now
    started_ns: int
    log: FilteringBoundLogger

    async def body(self) -> bytes:
        """The whole request body, at most `Settings.body_bytes_max`; a longer one is answered with 413."""
        return cast(bytes, await current_request.get_data(as_text=False))

    def header(self, name: str) -> str:
        return str(current_request.headers.get(name, ""))

    def has_header(self, name: str) -> bool:
        """Whether there is one of this name, be it empty: a second one may follow that is not."""
        return name in current_request.headers

    def query(self, name: str) -> str:
        """A parameter behind the path's question mark; an empty string when it is not there."""
        return str(current_request.args.get(name, ""))

    @property
    def peer(self) -> str:
        """The address the request comes from, as the socket says it, whatever the headers say."""
        client = cast(dict[str, Any], current_request.scope).get("client")
        return str(client[0]) if client else ""


class StackedRequest(TrioRequest):
    """A request that knows what to close after its answer, and its exchange once that is made."""

    body_class = RefusableBody
    exit_stack: AsyncExitStack
    exchange: Exchange


class Connection(TrioASGIHTTPConnection):
    """One request's traffic: the exit stack lies around its handler *and* the sending of its answer.

    The server reports a disconnect also when it closes the connection itself, behind the last piece of an answer. Then
    it must not cancel the handler: that is still inside the server's own closing, which would be left half done and
    keep a client that waits for the end of the stream waiting for seconds.
    """

    def __init__(self, app: Quart, scope: HTTPScope) -> None:
        super().__init__(app, {**scope, "path": _path(scope["path"])})
        self._sending: LateStart | None = None
        self._body_bytes = 0

    async def __call__(self, receive: ASGIReceiveCallable, send: ASGISendCallable) -> None:
        """Answer one request."""
        before = is_answered_here.set(True)
        request = self._create_request_from_scope(send)
        try:
            async with trio.open_nursery() as nursery:
                nursery.start_soon(self.handle_messages, nursery, request, receive)
                await self.handle_request(nursery, request, send)
        finally:
            is_answered_here.reset(before)
            cast(App, self.app).body_room.give_back(self._body_bytes)

    async def handle_messages(  # type: ignore[override]  # the parent does the same to its own parent
        self, nursery: trio.Nursery, request: QuartRequest, receive: ASGIReceiveCallable
    ) -> None:
        async def counting() -> Any:
            message: Any = await receive()
            self._make_room(request, len(message.get("body", b"")))
            return message

        await ASGIHTTPConnection.handle_messages(self, request, counting)
        if self._sending is None or not self._sending.is_answered:
            nursery.cancel_scope.cancel()

    def _make_room(self, request: QuartRequest, count: int) -> None:
        """For what has come of its body, or else give that up; of what is given up nothing is kept."""
        room, body = cast(App, self.app).body_room, cast(RefusableBody, request.body)
        if body.is_given_up:
            room.give_back(self._body_bytes)
            self._body_bytes = 0
            return
        try:
            room.take(count)
        except ApiError as refused:
            body.refuse(refused)
        else:
            self._body_bytes += count

    async def handle_request(  # type: ignore[override]  # the same
        self, nursery: trio.Nursery, request: QuartRequest, send: ASGISendCallable
    ) -> None:
        """Answer it. (1) What fails before the first piece of an answer becomes the answer."""
        app, stacked = cast(App, self.app), cast(StackedRequest, request)
        self._sending = sending = LateStart(send, partial(app.note, stacked))
        async with AsyncExitStack() as stack:
            stacked.exit_stack = stack
            try:
                await super().handle_request(nursery, request, sending)
            except Exception as error:  # (1)
                if sending.has_begun:
                    raise
                await self._send_response(sending, await app.answer_instead(request, error))
                nursery.cancel_scope.cancel()


def _path(target: str) -> str:
    """The path of a target that may be a whole address, or have none ("GET ?a HTTP/1.1")."""
    return target if target.startswith("/") else urlsplit(target).path or "/"


class App(QuartTrio):
    """Quart on trio, with our connections.

    What surrounds every handler is called, not looked up: there are no blueprints and no sessions here to search.

    Attributes:
        body_room: for the bodies of all requests together.
        before: gives the answer to a request that no handler shall see.
        after: completes every answer.
        note: told the status of every answer that was begun.
    """

    body_room: BodyRoom
    before: Callable[[], Response | None]
    after: Callable[[Response], Response]
    note: Callable[[StackedRequest, int], None]

    asgi_http_class = Connection
    request_class = StackedRequest

    async def preprocess_request(self, request_context: RequestContext | None = None) -> Response | None:
        return self.before()

    async def process_response(  # type: ignore[override]  # every answer here is one of Quart's
        self, response: Response, request_context: RequestContext | None = None
    ) -> Response:
        return self.after(response)

    async def answer_instead(self, request: QuartRequest, error: Exception) -> ResponseTypes:
        """The answer to a request whose first one has failed before anything of it was sent."""
        async with self.request_context(request) as context:
            return await self.finalize_request(await self.handle_user_exception(error), context)
