"""Our own HTTP API as the command line uses it; the one place where httpx's errors become ours.

Only a server that says ``Server: roundhouse/...`` is spoken to: on the usual port there may well be another program
that answers the same paths.
"""

import math
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, contextmanager
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import msgspec
import trio

from service.cli.addresses import is_loopback
from service.cli.exits import CommandFailed, NoServer
from statemachines.decoding import UNDECODABLE

if TYPE_CHECKING:
    from collections.abc import Iterator

    import httpx

SERVER_PREFIX = "roundhouse/"
_CONNECT_LIMIT_S = 5.0
_ANSWER_LIMIT_S = 30.0
"""For everything but an answer of a model, which takes as long as it takes."""
_PROBE_LIMIT_S = 5.0
"""For the question who is there: a program that does not answer it must not hold up everything else."""
_Shape = TypeVar("_Shape")


class ListedModel(msgspec.Struct):
    """One row of `/api/tags`."""

    name: str
    modified_at: datetime
    size: int = 0
    digest: str = ""


class LoadedModel(msgspec.Struct):
    """One row of `/api/ps`."""

    name: str
    expires_at: datetime
    size: int = 0
    size_vram: int = 0
    digest: str = ""
    context_length: int = 0


class Turn(msgspec.Struct, omit_defaults=True):
    """One message of a conversation."""

    role: str
    content: str = ""


class Piece(msgspec.Struct):
    """One line of a streamed chat answer; the figures are on the last one [ns, tokens]."""

    message: Turn = msgspec.field(default_factory=lambda: Turn("assistant"))
    done: bool = False
    done_reason: str = ""
    error: str = ""
    total_duration: int = 0
    load_duration: int = 0
    prompt_eval_count: int = 0
    prompt_eval_duration: int = 0
    eval_count: int = 0
    eval_duration: int = 0


class ServerRefused(CommandFailed):
    """The server answered with an error."""

    def __init__(self, status: int, message: str) -> None:
        super().__init__(message)
        self.status = status


class _Listed(msgspec.Struct):
    models: list[ListedModel]


class _Loaded(msgspec.Struct):
    models: list[LoadedModel]


class _Problem(msgspec.Struct):
    error: str = ""


class Client:
    """A connection to one Roundhouse.

    Attributes:
        models_folder: where its models are, known of a server of our own only.
    """

    def __init__(self, http: "httpx.AsyncClient", url: str) -> None:
        self._http = http
        self.url = url
        self.models_folder: Path | None = None

    async def models(self) -> list[ListedModel]:
        """The models on disk, newest first."""
        return (await self._get("/api/tags", _Listed)).models

    async def loaded(self) -> list[LoadedModel]:
        """The models in memory."""
        return (await self._get("/api/ps", _Loaded)).models

    async def state(self) -> dict[str, Any]:
        """`/debug/state` as it is; an empty one where it is not to be had, as from another machine."""
        try:
            return await self._get("/debug/state", dict[str, Any])
        except CommandFailed:
            return {}

    async def unload(self, model: str) -> None:
        """Unload when idle; nothing loaded is fine."""
        await self._request("POST", "/api/generate", {"model": model, "keep_alive": 0})

    @asynccontextmanager
    async def chat(self, body: dict[str, Any]) -> AsyncIterator[trio.MemoryReceiveChannel[Piece]]:
        """The pieces of an answer; leaving early ends the answer on the server too.

        They are read as fast as they come: a pager that stops must not hold a slot on the server. The server's limit
        on the length of an answer bounds what can pile up here.

        Raises:
            ServerRefused: the server refused, or the answer broke off with an error (inside an exception group).
        """
        send, receive = trio.open_memory_channel[Piece](math.inf)
        async with trio.open_nursery() as nursery:
            nursery.start_soon(self._read_answer, msgspec.json.encode(body), send)
            with receive:
                yield receive
            nursery.cancel_scope.cancel()

    async def _read_answer(self, content: bytes, send: trio.MemorySendChannel[Piece]) -> None:
        import httpx

        limits = httpx.Timeout(None, connect=_CONNECT_LIMIT_S)
        with send, _explained(self.url):
            async with self._http.stream("POST", "/api/chat", content=content, timeout=limits) as response:
                if response.status_code != 200:
                    raise _refusal(response.status_code, await response.aread())
                await _pour(response, send)

    async def _get(self, path: str, shape: type[_Shape]) -> _Shape:
        try:
            return msgspec.json.decode(await self._request("GET", path), type=shape)
        except UNDECODABLE as error:
            raise CommandFailed(f"the server at {self.url} answered {path} in a way not understood: {error}") from error

    async def _request(self, method: str, path: str, body: dict[str, Any] | None = None) -> bytes:
        content = None if body is None else msgspec.json.encode(body)
        with _explained(self.url):
            response = await self._http.request(method, path, content=content)
        if response.status_code != 200:
            raise _refusal(response.status_code, response.content)
        return response.content


@asynccontextmanager
async def connect(url: str) -> AsyncIterator[Client]:
    """A client of the Roundhouse at ``url``.

    Raises:
        NoServer: nobody answers there, or somebody else does.
    """
    async with open_http(url) as http:
        found = await server_name(http)
        if not found.startswith(SERVER_PREFIX):
            raise NoServer(f"no Roundhouse at {url}: {found}. Start one with: roundhouse serve")
        yield Client(http, url)


async def server_name(http: "httpx.AsyncClient") -> str:
    """The ``Server`` header of whoever answers, else words on why there is none."""
    import httpx

    try:
        response = await http.get("/api/version", timeout=_PROBE_LIMIT_S)
    except httpx.ConnectError:
        return "nobody answers"
    except httpx.TimeoutException:
        return "something accepts connections but does not answer"
    except httpx.HTTPError:
        return "what answers does not speak HTTP"
    name = response.headers.get("Server", "")
    return name if name.startswith(SERVER_PREFIX) else "another program answers"


def open_http(url: str) -> "httpx.AsyncClient":
    """An HTTP client for one server. A proxy from the environment is not asked for this very machine."""
    import httpx

    target = httpx.URL(url)
    return httpx.AsyncClient(
        base_url=url,
        timeout=httpx.Timeout(_ANSWER_LIMIT_S, connect=_CONNECT_LIMIT_S),
        trust_env=not is_loopback(target.host),
        # Reading the certificate store takes 0.1 s, which plain HTTP would pay for nothing.
        verify=target.scheme == "https",
    )


async def _pour(response: "httpx.Response", send: trio.MemorySendChannel[Piece]) -> None:
    """Pass on every piece.

    An error must not leave the loop directly: that would leave httpx's generators half done, for the garbage
    collector to complain about. Cancelling ends them from the inside.
    """
    lines = _Lines()
    error: Exception | None = None
    with trio.CancelScope() as scope:
        async for data in response.aiter_bytes():
            try:
                _pass_on(lines.feed(data), send)
            except (ServerRefused, *UNDECODABLE) as caught:
                error = caught
                scope.cancel()
    if error is not None:
        raise error
    _pass_on(lines.end(), send)


class _Lines:
    """Cuts bytes at line feeds. httpx's own reader also cuts at U+2028 and the like, which JSON strings may hold."""

    def __init__(self) -> None:
        self._rest = b""

    def feed(self, data: bytes) -> list[bytes]:
        *whole, self._rest = (self._rest + data).split(b"\n")
        return whole

    def end(self) -> list[bytes]:
        """The last line, when nothing ended it."""
        return [self._rest] if self._rest else []


def _pass_on(lines: list[bytes], send: trio.MemorySendChannel[Piece]) -> None:
    for line in lines:
        piece = msgspec.json.decode(line, type=Piece)
        if piece.error:
            raise ServerRefused(200, piece.error)
        send.send_nowait(piece)


@contextmanager
def _explained(url: str) -> "Iterator[None]":
    import httpx

    try:
        yield
    except httpx.ConnectError as error:
        raise NoServer(f"the server at {url} is gone: nobody answers") from error
    except httpx.TimeoutException as error:
        raise CommandFailed(f"the server at {url} did not answer in time; `/debug/state` there may say why") from error
    except (httpx.HTTPError, *UNDECODABLE) as error:
        raise CommandFailed(f"the connection to {url} broke off; the server's log may say why") from error


def _refusal(status: int, body: bytes) -> ServerRefused:
    try:
        message = msgspec.json.decode(body, type=_Problem).error
    except UNDECODABLE:
        message = ""
    return ServerRefused(status, message or f"the server answered with status {status} and no reason")
