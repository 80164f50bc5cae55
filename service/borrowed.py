"""A process in the hands of somebody who does not own it."""

from collections import deque

import trio

from service.ports import ByteLink, Process
from statemachines.events import Exit, MemoryBound


class BorrowedProcess:
    """A process that another task kills and reaps.

    Args:
        heard: what was read from its link so far, oldest first; it is heard again.
    """

    def __init__(self, process: Process, heard: deque[bytes]) -> None:
        self.pid = process.pid
        self.link: ByteLink = ReplayedLink(process.link, heard)
        self._process = process

    def __repr__(self) -> str:
        return f"<BorrowedProcess {self._process!r}>"

    @property
    def has_ended(self) -> bool:
        return self._process.has_ended

    @property
    def is_stopped(self) -> bool:
        return self._process.is_stopped

    def memory_bound(self) -> MemoryBound | None:
        return self._process.memory_bound()

    def terminate(self) -> None:
        self._process.terminate()

    def kill(self) -> None:
        self._process.kill()

    async def wait(self) -> Exit:
        return await self._process.wait()


class ReplayedLink:
    """A link that says once more what it has said already, and then goes on."""

    def __init__(self, link: ByteLink, heard: deque[bytes]) -> None:
        self._link = link
        self._heard = heard

    @property
    def fd(self) -> int:
        return self._link.fd

    def send_now(self, data: bytes) -> bytes:
        return self._link.send_now(data)

    async def send(self, data: bytes) -> None:
        await self._link.send(data)

    async def receive(self) -> bytes:
        if not self._heard:
            return await self._link.receive()
        await trio.lowlevel.checkpoint()
        return self._heard.popleft()

    async def aclose(self) -> None:
        self._heard.clear()
        await self._link.aclose()
