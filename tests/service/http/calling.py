"""A client of the app without a network: one call, one `Reply`."""

from dataclasses import dataclass
from typing import Any

import msgspec

from service.http.app import create_app
from service.http.doors import Door
from tests.fakes.front import WALL_AT_ZERO_NS, FakeFront
from tests.fakes.lookout import lookout_of

NOW = "2023-11-14T22:13:20Z"
"""`WALL_AT_ZERO_NS` as the API writes it; the app's wall clock stands still in these tests."""
TICK_NS = 1_000_000


@dataclass(frozen=True)
class Reply:
    status: int
    headers: Any
    body: bytes

    @property
    def json(self) -> Any:
        return msgspec.json.decode(self.body)

    @property
    def lines(self) -> list[Any]:
        return [msgspec.json.decode(line) for line in self.body.splitlines()]

    @property
    def events(self) -> list[Any]:
        """The data of each server-sent event; ``[DONE]`` stays text."""
        datas = [block.removeprefix(b"data: ") for block in self.body.split(b"\n\n") if block]
        return ["[DONE]" if data == b"[DONE]" else msgspec.json.decode(data) for data in datas]

    @property
    def content_type(self) -> str:
        return str(self.headers["Content-Type"])


class Caller:
    """Calls an app over ``front``. Each reading of the monotonic clock is a millisecond later than the one before."""

    def __init__(self, front: FakeFront, *, door: Door = Door.BOTH, **making: Any) -> None:
        self.front = front
        self.lookout = lookout_of(front)
        self._ticks = 0
        self.app = create_app(front, self.lookout, door, now_ns=self._tick, wall_ns=lambda: WALL_AT_ZERO_NS, **making)

    async def __call__(
        self, method: str, path: str, body: Any = None, *, peer: str = "127.0.0.1", **head: str
    ) -> Reply:
        headers = {"Host": "localhost", **{name.replace("_", "-"): value for name, value in head.items()}}
        data = body if body is None or isinstance(body, bytes) else msgspec.json.encode(body)
        response = await self.app.test_client().open(
            path, method=method, data=data, headers=headers, scope_base={"client": (peer, 50_000)}
        )
        return Reply(response.status_code, response.headers, await response.get_data())

    async def get(self, path: str, **head: str) -> Reply:
        return await self("GET", path, **head)

    async def post(self, path: str, body: Any, **head: str) -> Reply:
        return await self("POST", path, body, **head)

    def _tick(self) -> int:
        self._ticks += TICK_NS
        return self._ticks
