"""The service's end of the link to one runner: messages out without waiting, messages in as they come.

Sending never waits, because the executor sends and the reactor must not be held up by a runner that does not read:
what the link does not take at once is written by a task, `RunnerLink.pump`. What is on its way is bounded all the same:
one `Generate` and one `Cancel` per lease, one `SetThreads` per decision. Which message may come when is
`statemachines.wire.link`'s to know.
"""

from collections import deque
from contextlib import suppress

import trio

from service.ports import ByteLink
from statemachines.errors import RemoteWireError
from statemachines.wire.link import Task, service_link
from statemachines.wire.messages import ToRunner, ToService

_BROKEN = (trio.BrokenResourceError, trio.ClosedResourceError)


class RunnerLink:
    """Turns messages into bytes and back on one `ByteLink`."""

    def __init__(self, link: ByteLink, task: Task) -> None:
        self._link = link
        self._state = service_link(task)
        self._outgoing: deque[bytes] = deque()
        self._bell = trio.Event()

    def send(self, message: ToRunner) -> bool:
        """Put a message on its way; False when it is too late for it: the runner is stopping or gone.

        Raises:
            LocalWireError: it cannot be packed or is too large.
        """
        if not self._state.may_send(message):
            return False
        data = self._state.send(message)
        if not self._outgoing:
            data = self._link.send_now(data)
        if data:
            self._outgoing.append(data)
            self._bell.set()
        return True

    async def pump(self) -> None:
        """Write what is to be written until cancelled. A link that breaks is the reader's to tell."""
        try:
            while True:
                await self._bell.wait()
                await self._write_all()
        except _BROKEN:
            return

    async def _write_all(self) -> None:
        """What is being written stays in line until it is written: nothing may overtake it."""
        while self._outgoing:
            await self._link.send(self._outgoing[0])
            self._outgoing.popleft()
        self._bell = trio.Event()

    async def receive(self) -> list[ToService] | None:
        """What came with the next piece of bytes, perhaps nothing yet; None at the end.

        An end in the middle of a message is an end like any other: whoever is killed gets no further.

        Raises:
            RemoteWireError: the runner broke the protocol.
        """
        try:
            data = await self._link.receive()
        except _BROKEN:
            data = b""
        if data:
            return self._state.receive(data)
        with suppress(RemoteWireError):
            self._state.receive_eof()
        return None
