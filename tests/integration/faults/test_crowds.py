"""A thousand clients that wait for one model: each with a cause and a deadline, and nobody else waits for them."""

import json
import resource
from typing import Any

import msgspec
import pytest

from service.config import Settings
from service.connections import connections_max
from service.http.errors import QUEUE_FULL_TEXT
from statemachines.limits import Limits
from statemachines.snapshot import StateView
from statemachines.states import RequestState
from tests.integration.faults import phases
from tests.integration.faults.crowd import Crowd
from tests.integration.faults.harness import ENDLESS, Faulted, faulted, limits
from tests.integration.faults.raw_client import connected, question, rest, status_of

CROWD = 1000
SHORT = question("polite", options={"num_predict": 1}, stream=False)

pytestmark = pytest.mark.skipif(
    connections_max(resource.getrlimit(resource.RLIMIT_NOFILE)[1], None) < 2 * CROWD + 100,
    reason="this process may not have as many connections, of which it holds both ends",
)


@pytest.fixture
def settings(settings: Settings) -> Settings:
    return msgspec.structs.replace(settings, limits=limits(queue_len_max=CROWD + 1))


def check_everybody_knows_why(view: StateView) -> None:
    for request in view.requests:
        if request.state is RequestState.WAITING:
            assert request.cause is not None
            assert request.cause.words
            assert request.cause.holders
            assert request.deadline is not None


async def check_it_answers(service: Faulted) -> None:
    """Whoever does not want that model is served at once."""
    assert (await service.http.get("/api/version")).status_code == 200
    state = (await service.http.get("/debug/state")).json()
    assert len(state["requests"]) >= CROWD
    reply = await service.generate("kind", options={"num_predict": 1})
    assert reply.status_code == 200


async def test_a_thousand_wait_for_a_load_and_each_gets_its_answer(settings: Settings) -> None:
    async with faulted(settings) as service:
        gate, crowd = service.gates.hold("polite"), Crowd(service)
        await crowd.gather(CROWD, SHORT)
        await gate.arrived()
        check_everybody_knows_why(service.state())
        await check_it_answers(service)
        gate.open()
        await crowd.end()
        assert crowd.statuses() == {200: CROWD}
        assert {body_of(answer)["response"] for answer in crowd.answers} == {"Hello,"}


async def test_a_thousand_wait_behind_an_answer_and_all_of_them_leave_at_once(settings: Settings) -> None:
    async with faulted(settings) as service:
        held, crowd = await phases.mid_answer(service), Crowd(service)
        await crowd.gather(CROWD - 1, question("endless", options=ENDLESS))
        await service.until(lambda view: len(view.requests) == CROWD)
        check_everybody_knows_why(service.state())
        await check_it_answers(service)
        await crowd.leave()
        await service.until(lambda view: len(view.requests) == 1)
        await held.client.piece(len(held.client.lines) + 1)
        await held.client.leave()


async def test_one_more_than_may_wait_is_refused_at_once_in_the_words_that_clients_know(settings: Settings) -> None:
    most = Limits().queue_len_max
    async with faulted(msgspec.structs.replace(settings, limits=limits(queue_len_max=most))) as service:
        gate, crowd = service.gates.hold("polite"), Crowd(service)
        await crowd.gather(most, SHORT)
        await gate.arrived()
        async with connected(service.ready) as client:
            await client.send_all(SHORT)
            answer = await rest(client)
        assert (most, status_of(answer)) == (512, 503)
        assert body_of(answer) == {"error": QUEUE_FULL_TEXT}
        assert b"\r\nretry-after: " in answer.lower()
        assert len(service.state().requests) == most
        await crowd.leave()


def body_of(answer: bytes) -> dict[str, Any]:
    body: dict[str, Any] = json.loads(answer.partition(b"\r\n\r\n")[2])
    return body
