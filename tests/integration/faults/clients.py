"""Clients that ask in the background, so that a test can make things happen while they wait."""

import json
from typing import Any

import httpx
import trio


class Asked:
    """One request under way; made by `Faulted.ask`.

    Attributes:
        status: of the HTTP answer, once its head has come.
        lines: what has come of the answer so far, line by line.
        broke_off: the connection ended in the middle of the answer.
    """

    def __init__(self) -> None:
        self.status: int | None = None
        self.lines: list[dict[str, Any]] = []
        self.broke_off = False
        self._ended = trio.Event()
        self._news = trio.Event()
        self._scope = trio.CancelScope()

    async def ask(self, http: httpx.AsyncClient, path: str, body: dict[str, Any]) -> None:
        """Be the client, to the end of the answer."""
        try:
            with self._scope:
                async with http.stream("POST", path, json=body) as reply:
                    self.status = reply.status_code
                    self._tell()
                    async for line in reply.aiter_lines():
                        self.lines.append(json.loads(line))
                        self._tell()
        except httpx.TransportError:
            self.broke_off = True
        finally:
            self._ended.set()
            self._tell()

    def _tell(self) -> None:
        self._news.set()
        self._news = trio.Event()

    async def piece(self, count: int = 1) -> dict[str, Any]:
        """Wait until that many lines of the answer are there; the last of them."""
        while len(self.lines) < count:
            assert not self._ended.is_set(), f"the answer ended after {len(self.lines)} lines: {self.lines[-1:]}"
            await self._news.wait()
        return self.lines[count - 1]

    async def end(self) -> dict[str, Any]:
        """Wait for the end of the answer; its last line."""
        await self._ended.wait()
        return self.lines[-1] if self.lines else {}

    async def leave(self) -> None:
        """Close the connection, whatever has come of the answer."""
        self._scope.cancel()
        await self._ended.wait()

    @property
    def is_over(self) -> bool:
        return self._ended.is_set()

    @property
    def text(self) -> str:
        """What has come of the answer so far."""
        return "".join(line.get("response", "") for line in self.lines)
