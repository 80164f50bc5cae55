"""Clients that leave, at every stage of a request: it is theirs alone, and nobody's error (B06)."""

import re

import msgspec

from service.config import Settings
from statemachines.effects import CancelLease, GrantLease, SpawnRunner
from statemachines.events import RequestArrived, RunnerBeat
from statemachines.snapshot import StateView
from statemachines.states import LoadState, RequestState, RunnerState
from statemachines.units import NS_PER_S
from statemachines.wire.link import Task
from tests.integration.faults import phases
from tests.integration.faults.casting import Births
from tests.integration.faults.clients import Asked
from tests.integration.faults.harness import ENDLESS, POLITE, Faulted, faulted, limits
from tests.integration.faults.raw_client import connected, question
from tests.integration.faults.signals import murder, thaw


async def check_unharmed(service: Faulted, *, left: int = 0, answered: int = 0) -> None:
    """No runner was lost, no line says more than that it happened, and the requests are counted as what they were."""
    await service.until(lambda view: not view.requests)
    assert service.state().dead == ()
    assert {row["level"] for row in service.lines.rows()} <= {"debug", "info"}
    await check_counted(service, left=left, answered=answered)


async def check_counted(service: Faulted, *, left: int = 0, answered: int = 0) -> None:
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


async def test_b06_while_its_model_file_is_read_for_it_alone(settings: Settings) -> None:
    """Its reader is frozen, so it must be killed: nobody waits for what it would say."""
    births = Births(freezes=True, task=Task.FACTS)
    async with faulted(settings, births) as service:
        leaving = service.ask("polite")
        reader = await births.next_pid()
        await leaving.leave()
        assert await births.next_gone() == reader
        assert service.events(RequestArrived) == []
        births.freezes = False
        assert (await service.generate("polite")).json()["response"] == POLITE
        assert await births.next_pid() != reader
        await check_unharmed(service, answered=1)  # The core has not heard of the one that left.


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


async def unheard_of(service: Faulted, births: Births) -> tuple[int, Asked]:
    """A runner that is frozen before it has greeted, and the client whose model it is to load."""
    asked = service.ask("polite")
    pid = await births.next_pid()
    row = await service.said("runner started", pid=pid)
    assert (row["state"], row["status"]) == ("loading", "not responding")
    births.freezes = False
    return pid, asked


def spareless(settings: Settings, **changes: int) -> Settings:
    """Whose births are all loads, with other limits."""
    return msgspec.structs.replace(settings, spare=False, limits=limits(**changes))


async def test_b06_before_its_runner_has_greeted_and_the_load_serves_the_next_one(settings: Settings) -> None:
    births = Births(freezes=True)
    async with faulted(spareless(settings), births) as service:
        pid, leaving = await unheard_of(service, births)
        await leaving.leave()
        await service.until(lambda view: not view.requests)
        thaw(pid)
        assert (await service.generate("polite")).json()["response"] == POLITE
        assert len(service.effects(SpawnRunner)) == 1
        await check_unharmed(service, left=1, answered=1)


async def test_b06_before_its_runner_has_greeted_and_nobody_comes_back_for_the_load(settings: Settings) -> None:
    births = Births(freezes=True)
    async with faulted(spareless(settings), births) as service:
        pid, leaving = await unheard_of(service, births)
        await leaving.leave()
        (load,) = (await service.until(lambda view: None if view.requests else view)).loads
        await service.expire("grace", load=load.load)
        runner = (await service.runner(RunnerState.UNLOADING)).runner
        thaw(pid)
        await service.dead(runner)

        assert (service.state().loads, len(service.effects(SpawnRunner))) == ((), 1)
        assert service.rows("runner ended", runner=runner, level="info")
        assert service.state().devices[0].reserved_bytes == 0
        assert not service.errors()
        await check_counted(service, left=1)


async def test_b06_in_the_pause_before_its_load_is_tried_again_which_it_then_is_for_nobody(settings: Settings) -> None:
    pause_ns = 100 * NS_PER_S
    async with faulted(spareless(settings, retry_backoff_ns=pause_ns)) as service:
        held = await phases.loading(service)
        murder(held.pid)
        await service.until(lambda view: [one for one in view.loads if one.state is LoadState.WAITING])
        await held.client.leave()
        await service.until(lambda view: not view.requests)
        assert service.state().loads == ()
        service.jump(2 * pause_ns)
        await service.journal.stepped()

        assert [order.runner for order in service.effects(SpawnRunner)] == [held.runner]
        assert [row["event"] for row in service.errors()] == ["runner ended by itself"]
        await check_counted(service, left=1)


async def test_b06_in_the_pause_before_its_load_is_tried_again_for_another_one_too(settings: Settings) -> None:
    async with faulted(spareless(settings, retry_backoff_ns=100 * NS_PER_S)) as service:
        held = await phases.loading(service)
        staying = service.ask("polite")
        await service.until(lambda view: requests(view) == 2)
        murder(held.pid)
        (load,) = await service.until(lambda view: [one for one in view.loads if one.state is LoadState.WAITING])
        await held.client.leave()
        await service.until(lambda view: requests(view) == 1)
        await service.expire("backoff", load=load.load)
        await staying.end()

        assert staying.text == POLITE
        assert len(service.effects(SpawnRunner)) == 2
        await check_counted(service, left=1, answered=1)


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


async def test_b06_in_the_middle_of_an_answer_of_which_it_was_to_see_nothing_before_its_end(settings: Settings) -> None:
    """Without a stream: the runner is stopped all the same, and talks to the next one."""
    async with faulted(settings) as service:
        leaving = service.ask("endless", stream=False, options=ENDLESS)
        talking = (await service.until(lambda _: [beat for beat in service.events(RunnerBeat) if beat.step > 1]))[0]
        staying = service.ask("endless", options={**ENDLESS, "num_predict": 3})
        await service.until(lambda view: requests(view) == 2)
        assert leaving.status is None
        await leaving.leave()
        assert (await staying.end())["done_reason"] == "length"

        assert len(service.effects(CancelLease)) == 1
        assert [grant.runner for grant in service.effects(GrantLease)] == [talking.runner] * 2
        await check_unharmed(service, left=1, answered=1)


async def test_b06_after_its_last_token_and_before_it_has_read_any(settings: Settings) -> None:
    async with faulted(settings) as service:
        await service.generate("polite", prompt="")
        async with connected(service.ready) as client:
            await client.send_all(question("polite"))
            await service.until(requests)
            await service.until(lambda view: not view.requests)
        await check_unharmed(service, left=1, answered=1)
