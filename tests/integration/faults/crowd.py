"""Many clients at once, each with a question of its own and an answer to the end."""

from collections import Counter

import trio

from tests.integration.faults.harness import Faulted
from tests.integration.faults.raw_client import connected, rest, status_of


class Crowd:
    """Clients that have asked and wait.

    Attributes:
        answers: what those have heard who are done.
    """

    def __init__(self, service: Faulted) -> None:
        self.answers: list[bytes] = []
        self._service = service
        self._scope = trio.CancelScope()
        self._gone = trio.Event()

    async def gather(self, count: int, question: bytes) -> None:
        """Let so many ask; returns when the core has heard of each."""
        steps = self._service.journal.written
        self._service.nursery.start_soon(self._live, count, question)
        while self._service.journal.written < steps + count:
            await self._service.journal.stepped()
        await self._service.until(lambda view: len(view.requests) >= count)

    async def _live(self, count: int, question: bytes) -> None:
        with self._scope:
            async with trio.open_nursery() as nursery:
                for _ in range(count):
                    nursery.start_soon(self._ask, question)
        self._gone.set()

    async def _ask(self, question: bytes) -> None:
        async with connected(self._service.ready) as client:
            await client.send_all(question)
            self.answers.append(await rest(client))

    async def end(self) -> None:
        """Wait until each has its answer."""
        await self._gone.wait()

    async def leave(self) -> None:
        """All close their connections."""
        self._scope.cancel()
        await self._gone.wait()

    def statuses(self) -> Counter[int]:
        return Counter(map(status_of, self.answers))
