"""One client's connection: hypercorn's HTTP/1.1, with a limit of ours on everything that a client may leave undone.

Theory of operation. One task reads and hands what comes to the protocol; each request is a task of the framework
beside it. What a client may take its time for is the deadline of the reading, and depends on the stage:

- HEAD: `head_ns`, from the accept for the first request, from its first byte for a later one. Half a head is answered
  with 408, silence with silence.
- BETWEEN two requests: `idle_connection_ns`; then the connection is closed. Line ends begin no request.
- REQUEST: none here. Its body has a limit where it is read (408), its answer where it is sent: a client that takes
  nothing for `client_stall_ns` loses its connection, and with it its request, and nothing else.

After our last word what still comes is thrown away for `LINGER_S`: closing at once would make the client's system drop
an answer that it has not read yet.
"""

import math
from contextlib import suppress
from enum import Enum

import trio
from hypercorn.app_wrappers import ASGIWrapper
from hypercorn.config import Config
from hypercorn.events import Closed, Event, RawData, Updated
from hypercorn.trio.task_group import TaskGroup
from hypercorn.trio.tcp_server import TCPServer
from hypercorn.trio.worker_context import WorkerContext
from hypercorn.typing import ConnectionState
from hypercorn.utils import parse_socket_addr
from quart import Quart
from structlog.typing import FilteringBoundLogger

from service.client_stream import ClientStream
from service.config import Settings
from service.http1 import LINE_END, Http1, Turn
from statemachines.units import KIB, NS_PER_S

LINGER_S = 5
"""How long a client may go on sending after our last word; as nginx has it."""
READ_BYTES = 64 * KIB


class Stage(Enum):
    """What a connection waits for."""

    HEAD = "head"
    BETWEEN = "between"
    REQUEST = "request"
    OVER = "over"


class Connection(TCPServer):
    """One accepted connection, from its first byte to its last."""

    def __init__(
        self,
        stream: trio.SocketStream,
        *,
        app: Quart,
        config: Config,
        context: WorkerContext,
        settings: Settings,
        log: FilteringBoundLogger,
    ) -> None:
        self._client = ClientStream(stream, settings.client_stall_ns / NS_PER_S)
        super().__init__(ASGIWrapper(app), config, context, {}, self._client)  # type: ignore[arg-type]  # no TLS stream
        self._settings = settings
        self._log = log
        self._reading, self._lingering = trio.CancelScope(), trio.CancelScope()
        self._stage = Stage.HEAD
        self._has_spoken = False
        self._head_bytes = 0

    def cut(self) -> None:
        """End it at once, whatever it is doing."""
        self._client.cut()

    def hurry(self) -> None:
        """End it, unless a request is under way; then it ends behind that."""
        if self._stage is not Stage.REQUEST:
            self._reading.cancel()
            self._lingering.cancel()

    async def run(self) -> None:
        """Live until either side ends it. What goes wrong on one connection stays there."""
        try:
            await self._live()
        except Exception as error:
            self._log.error("a connection failed", exc_info=error)
        finally:
            await self._close()
        if self._client.has_stalled:
            self._log.info("a client reads nothing, its connection is closed")

    async def _live(self) -> None:
        ours = self._client.socket
        try:
            peer = parse_socket_addr(ours.family, ours.getpeername())
        except OSError:
            return  # It has left already.
        async with TaskGroup() as tasks:
            own, state = parse_socket_addr(ours.family, ours.getsockname()), ConnectionState({})
            http = Http1(self.app, self.config, self.context, tasks, state, False, peer, own, self.protocol_send)
            http.fields_max = self._settings.head_fields_max
            http.can_read = Turn(self._listen)
            self.protocol = self._http = http  # type: ignore[assignment]  # hypercorn's own would choose among protocols
            await self._converse()

    async def _converse(self) -> None:
        self._enter(Stage.HEAD)
        with self._reading:
            await self._read()
        if self._reading.cancelled_caught and self._stage is Stage.HEAD and self._has_spoken:
            await self._http.refuse(408)
        await self._http.handle(Closed())
        await self._linger()

    async def _read(self) -> None:
        """Hand over what comes, to its end."""
        while data := await self._client.receive_some(self._room_bytes):
            self._has_spoken = True
            if self._stage is Stage.BETWEEN and data.strip(LINE_END):
                self._enter(Stage.HEAD)
            self._head_bytes += len(data)
            await self._http.handle(RawData(data))

    @property
    def _room_bytes(self) -> int:
        """A head is judged before more of it is read than there may be."""
        if self._stage is Stage.REQUEST:
            return READ_BYTES
        return max(1, self._settings.head_bytes_max + 1 - self._head_bytes)

    async def _listen(self) -> None:
        """Hear a client that waits for its turn, as far as it may speak before that: it may have left."""
        while room_bytes := max(0, self._settings.head_bytes_max + 1 - self._http.early_bytes):
            data = await self._client.receive_some(room_bytes)
            if not data:
                self._reading.cancel()
                return
            self._http.keep(data)

    async def protocol_send(self, event: Event) -> None:
        """What the protocol has to say: bytes for the client, or that it is done with a request or with the client."""
        if isinstance(event, Updated) and event.idle:
            early_bytes = self._http.early_bytes
            self._enter(Stage.HEAD if early_bytes else Stage.BETWEEN, head_bytes=early_bytes)
        elif isinstance(event, Updated):
            self._enter(Stage.REQUEST)
        elif isinstance(event, Closed):
            self._stage = Stage.OVER
            self._reading.cancel()
        elif isinstance(event, RawData):
            await self._send(event.data)

    async def _send(self, data: bytes) -> None:
        """As hypercorn has it, but without a round of the loop before each piece: a free lock is taken at once.

        A request that was cancelled says nothing more: what hypercorn sends for it then is no answer of ours.
        """
        await trio.lowlevel.checkpoint_if_cancelled()
        if self.send_lock.locked():
            await self.send_lock.acquire()
        else:
            self.send_lock.acquire_nowait()
        try:
            with trio.CancelScope(shield=True):
                await self._client.send_all(data)
        except (trio.BrokenResourceError, trio.ClosedResourceError):
            await self._http.handle(Closed())
        finally:
            self.send_lock.release()

    def _enter(self, stage: Stage, *, head_bytes: int = 0) -> None:
        self._stage = stage
        self._head_bytes = head_bytes
        limits_ns = {Stage.HEAD: self._settings.head_ns, Stage.BETWEEN: self._settings.idle_connection_ns}
        self._reading.deadline = trio.current_time() + limits_ns.get(stage, math.inf) / NS_PER_S

    async def _linger(self) -> None:
        """Say that nothing more will come, and let the client read our last word."""
        with suppress(trio.BrokenResourceError, trio.ClosedResourceError, trio.BusyResourceError):
            await self._client.send_eof()
        if self.context.terminated.is_set():
            return
        self._lingering.deadline = trio.current_time() + LINGER_S
        with self._lingering:
            while await self._client.receive_some(READ_BYTES):
                pass
