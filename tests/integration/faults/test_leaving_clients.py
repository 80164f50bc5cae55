"""Clients that leave, at every stage of a request: it is theirs alone, and nobody's error (B06)."""

import re

from service.config import Settings
from statemachines.snapshot import StateView
from statemachines.states import RequestState
from tests.integration.faults import phases
from tests.integration.faults.harness import ENDLESS, POLITE, Faulted, faulted
from tests.integration.faults.raw_client import connected, question
from tests.integration.faults.signals import thaw


async def check_unharmed(service: Faulted, *, left: int = 0, answered: int = 0) -> None:
    """No runner was lost, no line says more than that it happened, and the requests are counted as what they were."""
    await service.until(lambda view: not view.requests)
    assert service.state().dead == ()
    assert {row["level"] for row in service.lines.rows()} <= {"debug", "info"}
    text = (await service.http.get("/metrics")).text
    ends = re.findall(r'^roundhouse_requests_total\{.*outcome="(\w+)".*\} ([\d.]+)$', text, re.MULTILINE)
    assert {outcome: sum(float(n) for name, n in ends if name == outcome) for outcome, _ in ends} == {
        outcome: count for outcome, count in (("left", left), ("answered", answered)) if count
    }


def requests(view: StateView) -> int:
    return len(view.requests)


async def test_b06_with_half_a_head(settings: Settings) -> None:
    async with faulted(settings) as service:
        async with connected(service.ready) as client:
            await client.send_all(question("polite")[:30])
        assert (await service.generate("polite")).json()["response"] == POLITE
        await check_unharmed(service, answered=1)


async def test_b06_before_the_body_is_there(settings: Settings) -> None:
    async with faulted(settings) as service:
        async with connected(service.ready) as client:
            await client.send_all(question("polite")[:-10])
        assert (await service.generate("polite")).json()["response"] == POLITE
        await check_unharmed(service, answered=1)


async def test_b06_while_it_waits_in_the_queue(settings: Settings) -> None:
    async with faulted(settings) as service:
        talking = service.ask("endless", options=ENDLESS)
        await talking.piece()
        leaving, staying = (service.ask("endless", options={**ENDLESS, "num_predict": 3}) for _ in range(2))
        await service.until(lambda view: requests(view) == 3)
        await leaving.leave()
        await service.until(lambda view: requests(view) == 2)
        await talking.piece(len(talking.lines) + 1)
        await talking.leave()
        assert (await staying.end())["done_reason"] == "length"
        await check_unharmed(service, left=2, answered=1)


async def test_b06_while_its_model_is_loaded_for_another_one_too(settings: Settings) -> None:
    async with faulted(settings) as service:
        held = await phases.loading(service)
        staying = service.ask("polite")
        await service.until(lambda view: requests(view) == 2)
        await held.client.leave()
        await service.until(lambda view: requests(view) == 1)
        assert held.gate is not None
        held.gate.open()
        await staying.end()
        assert staying.text == POLITE
        await check_unharmed(service, left=1, answered=1)


async def test_b06_while_its_model_is_loaded_for_nobody_else(settings: Settings) -> None:
    async with faulted(settings) as service:
        held = await phases.loading(service)
        await held.client.leave()
        await service.until(lambda view: not view.requests)
        assert held.gate is not None
        held.gate.open()
        assert (await service.generate("polite")).json()["response"] == POLITE
        await check_unharmed(service, left=1, answered=1)


async def test_b06_before_the_first_token(settings: Settings) -> None:
    async with faulted(settings) as service:
        held = await phases.first_token(service)
        staying = service.ask("polite")
        await service.until(lambda view: requests(view) == 2)
        await held.client.leave()
        await service.until(lambda view: RequestState.RELEASING in {request.state for request in view.requests})
        thaw(held.pid)
        await staying.end()
        assert staying.text == POLITE
        await check_unharmed(service, left=2, answered=1)  # one of them only loaded the model


async def test_b06_in_the_middle_of_its_answer(settings: Settings) -> None:
    async with faulted(settings) as service:
        held = await phases.mid_answer(service)
        staying = service.ask("endless", options={**ENDLESS, "num_predict": 3})
        await service.until(lambda view: requests(view) == 2)
        await held.client.leave()
        assert (await staying.end())["done_reason"] == "length"
        await check_unharmed(service, left=1, answered=1)


async def test_b06_after_its_last_token_and_before_it_has_read_any(settings: Settings) -> None:
    async with faulted(settings) as service:
        await service.generate("polite", prompt="")
        async with connected(service.ready) as client:
            await client.send_all(question("polite"))
            await service.until(requests)
            await service.until(lambda view: not view.requests)
        await check_unharmed(service, left=1, answered=1)
