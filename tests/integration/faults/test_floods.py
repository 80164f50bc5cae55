"""Heads that do not end: many clients at once, each told so, and an answer that goes on beside them."""

import pytest
import trio

from service.config import Settings
from statemachines.units import MIB
from tests.integration.faults import phases
from tests.integration.faults.harness import POLITE, Faulted, faulted
from tests.integration.faults.raw_client import connected, rest, status_of

START = b"GET /api/version HTTP/1.1\r\nHost: localhost\r\n"
FLOODS = {
    "many fields": START + b"X: 1\r\n" * 200_000,
    "one long line": START + b"X: " + b"x" * MIB,
    "a long target": b"GET /" + b"x" * MIB,
    "many small fields in a small head": START + b"".join(b"X%d:\r\n" % number for number in range(500)) + b"\r\n",
    "folded lines": START + b"X: 1\r\n" + b" x\r\n" * 200_000,
}
CLIENTS = 20


async def told(service: Faulted, flood: bytes) -> int:
    async with connected(service.ready) as client:
        await client.send_all(flood)
        return status_of(await rest(client))


@pytest.mark.parametrize("flood", FLOODS.values(), ids=FLOODS.keys())
async def test_a_flood_is_refused_and_harms_nobody(settings: Settings, flood: bytes) -> None:
    async with faulted(settings) as service:
        talking = (await phases.mid_answer(service)).client
        statuses: list[int] = []

        async def flooding() -> None:
            statuses.append(await told(service, flood))

        async with trio.open_nursery() as nursery:
            for _ in range(CLIENTS):
                nursery.start_soon(flooding)
        assert statuses == [431] * CLIENTS
        await talking.piece(len(talking.lines) + 1)
        assert (await service.generate("polite")).json()["response"] == POLITE
        assert {row["level"] for row in service.lines.rows()} <= {"debug", "info"}
        await talking.leave()
