"""Clients that stop reading, or in the middle of what they have to say: each loses its own request, and nobody else."""

import json
import re

import msgspec

from service.config import Settings
from statemachines.effects import CancelLease, KillRunner, TerminateRunner
from statemachines.events import LeaseEnded, LeaseOutcome
from statemachines.states import RunnerState
from statemachines.units import NS_PER_S, RunnerId
from tests.integration.faults.harness import ENDLESS, POLITE, Faulted, faulted
from tests.integration.faults.raw_client import connected, question, rest, status_of

ASK = question("endless", options=ENDLESS)
DEAF_BYTES = 4096
"""What the system takes for a client that reads nothing."""


async def the_runner(service: Faulted) -> RunnerId:
    return (await service.runner(RunnerState.READY, model="endless")).runner


async def check_only_its_lease_ended(service: Faulted, runner: RunnerId) -> None:
    """The runner goes on, and the next client has the slot."""
    ended = await service.event(LeaseEnded, runner)
    assert (ended.outcome, ended.sent) == (LeaseOutcome.CANCELLED, True)
    reply = await service.generate("endless", options={**ENDLESS, "num_predict": 3})
    assert (reply.status_code, reply.json()["done_reason"]) == (200, "length")
    assert await the_runner(service) == runner
    assert len(service.effects(CancelLease)) <= 1
    assert service.effects(KillRunner) == service.effects(TerminateRunner) == []
    assert {row["level"] for row in service.lines.rows()} <= {"debug", "info"}


async def test_one_that_stops_reading_loses_its_slot_and_others_never_wait_for_it(settings: Settings) -> None:
    limit_ns = 40 * NS_PER_S  # jumped over; really it must not pass, for the socket has the same limit
    async with (
        faulted(msgspec.structs.replace(settings, client_stall_ns=limit_ns)) as service,
        connected(service.ready, receive_bytes=DEAF_BYTES) as client,
    ):
        await client.send_all(ASK)
        runner = await the_runner(service)
        await service.until(lambda view: view.runners[0].leases)
        assert (await service.generate("polite")).json()["response"] == POLITE
        service.jump(limit_ns + 1)
        await check_only_its_lease_ended(service, runner)
        answer = await rest(client)
    assert status_of(answer) == 200
    (last,) = re.findall(rb'^\{"error":.*\}$', answer, re.MULTILINE)
    assert "read nothing" in json.loads(last)["error"]


async def test_one_that_never_reads_again_is_disconnected(settings: Settings) -> None:
    async with (
        faulted(msgspec.structs.replace(settings, client_stall_ns=2 * NS_PER_S)) as service,
        connected(service.ready, receive_bytes=DEAF_BYTES) as client,
    ):
        await client.send_all(ASK)
        runner = await the_runner(service)
        await service.until(lambda view: view.runners[0].leases)
        await check_only_its_lease_ended(service, runner)
        await service.until(lambda view: not view.requests)


async def test_one_that_sends_half_a_body_is_told_so(settings: Settings) -> None:
    async with (
        faulted(msgspec.structs.replace(settings, body_ns=2 * NS_PER_S)) as service,
        connected(service.ready) as client,
    ):
        await client.send_all(question("polite")[:-10])
        answer = await rest(client)
        assert status_of(answer) == 408
        assert b'{"error":"the request body took longer than 2 s; send it again"}' in answer
        assert service.state().requests == ()
        assert service.errors() == []
