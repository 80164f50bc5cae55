"""One HTTP request as a handler sees it, and the app that makes one for each.

An answer is streamed after its handler has returned, so what the handler opened (a lease, a stream) must outlive it
and still be closed on every path: the answer sent, the client gone, a send that failed before the first byte. That is
what the exit stack is for: the connection owns it, and closes it last.
"""

from collections.abc import Awaitable, Callable
from contextlib import AsyncExitStack
from contextvars import ContextVar
from dataclasses import dataclass
from typing import Any, cast

import trio
from hypercorn.typing import ASGIReceiveCallable, ASGISendCallable, HTTPScope
from quart import Quart, Response
from quart import request as current_request
from quart.asgi import ASGIHTTPConnection
from quart.wrappers import Request as QuartRequest
from quart_trio import QuartTrio
from quart_trio.asgi import TrioASGIHTTPConnection
from quart_trio.wrappers import TrioRequest
from structlog.typing import FilteringBoundLogger

from service.front import Front
from service.http.body_room import BodyRoom, RefusableBody
from service.http.doors import Door
from service.http.errors import ApiError
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

    def query(self, name: str) -> str:
        """A parameter behind the path's question mark; an empty string when it is not there."""
        return str(current_request.args.get(name, ""))

    @property
    def peer(self) -> str:
        """The address the request comes from, as the socket says it, whatever the headers say."""
        client = cast(dict[str, Any], current_request.scope).get("client")
        return str(client[0]) if client else ""


class StackedRequest(TrioRequest):
    """A request that knows what to close after its answer."""

    body_class = RefusableBody
    exit_stack: AsyncExitStack


class Connection(TrioASGIHTTPConnection):
    """One request's traffic: the exit stack lies around its handler *and* the sending of its answer.

    The server reports a disconnect also when it closes the connection itself, behind the last piece of an answer. Then
    it must not cancel the handler: that is still inside the server's own closing, which would be left half done and
    keep a client that waits for the end of the stream waiting for seconds.
    """

    def __init__(self, app: Quart, scope: HTTPScope) -> None:
        # A target without a path ("GET ?a HTTP/1.1") is legal for the parser below and not for the framework above.
        super().__init__(app, {**scope, "path": scope["path"] or "/"})
        self._is_answered = False
        self._body_bytes = 0

    async def __call__(self, receive: ASGIReceiveCallable, send: ASGISendCallable) -> None:
        """Answer one request."""
        before = is_answered_here.set(True)
        try:
            await super().__call__(receive, send)
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
        if not self._is_answered:
            nursery.cancel_scope.cancel()

    def _make_room(self, request: QuartRequest, count: int) -> None:
        """For what has come of its body, or else give that up."""
        try:
            cast(App, self.app).body_room.take(count)
        except ApiError as refused:
            cast(RefusableBody, request.body).refuse(refused)
        else:
            self._body_bytes += count

    async def handle_request(  # type: ignore[override]  # the same
        self, nursery: trio.Nursery, request: QuartRequest, send: ASGISendCallable
    ) -> None:
        async def noting_the_last(message: Any) -> None:
            self._is_answered = message["type"] == "http.response.body" and not message.get("more_body", False)
            await send(message)

        async with AsyncExitStack() as stack:
            cast(StackedRequest, request).exit_stack = stack
            await super().handle_request(nursery, request, noting_the_last)


class App(QuartTrio):
    """Quart on trio, with our connections.

    Attributes:
        body_room: for the bodies of all requests together.
    """

    body_room: BodyRoom

    asgi_http_class = Connection
    request_class = StackedRequest
