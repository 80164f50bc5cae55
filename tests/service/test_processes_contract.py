"""What every `Processes` promises, real or fake: the tests of the shell stand on the fake."""

import os
import signal
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

import pytest
import trio

from service.clock import SystemClock
from service.environment import EnvironmentClass
from service.logs import make_log
from service.ports import Process, Processes, unheard
from service.spare import Spare
from statemachines.limits import Limits
from statemachines.wire.messages import ReadFacts
from tests.fakes.processes import FACTS, FakeProcess, FakeProcesses
from tests.fakes.runner_talk import obedient_processes, talk_to


class Obedient:
    """Lets each process of `FakeProcesses` do what the real program `tests.fakes.obedient` does."""

    def __init__(self, nursery: trio.Nursery) -> None:
        self._fakes = FakeProcesses()
        self._nursery = nursery

    @asynccontextmanager
    async def spawn(
        self, kind: EnvironmentClass, *, on_line: Callable[[str], None] = unheard
    ) -> AsyncIterator[Process]:
        async with self._fakes.spawn(kind, on_line=on_line) as process:
            self._nursery.start_soon(obey, process)
            yield process


async def obey(process: FakeProcess) -> None:
    process.greet()
    while True:
        message = await process.hear()
        if isinstance(message, ReadFacts):
            order, _, argument = message.paths[0].partition(":")
            if order == "exit":
                process.exit(int(argument))
            if order == "say":
                process.on_line(argument)


async def with_a_spare(processes: Processes, nursery: trio.Nursery) -> Processes:
    """The same, with a warm spare that answers the next spawn."""
    log = make_log(log_format="json", level="error")
    spare = Spare(processes, FACTS, limits=Limits(), clock=SystemClock(), log=log)
    nursery.start_soon(spare.run)
    while spare.view().state != "warm":
        await trio.lowlevel.checkpoint()
    return spare


@pytest.fixture(params=["real", "fake", "real spare", "fake spare"])
async def processes(request: pytest.FixtureRequest, nursery: trio.Nursery) -> Processes:
    behind = obedient_processes() if "real" in request.param else Obedient(nursery)
    return await with_a_spare(behind, nursery) if "spare" in request.param else behind


async def test_both_ends_hear_each_other(processes: Processes) -> None:
    lines, heard = [], trio.Event()

    def hear(line: str) -> None:
        lines.append(line)
        heard.set()

    async with processes.spawn(FACTS, on_line=hear) as process:
        talk = await talk_to(process)
        await talk.send(ReadFacts(("say:hello",)))
        await heard.wait()
    assert lines == ["hello"]
    assert talk.link.peer is not None
    assert talk.link.peer.pid == process.pid != os.getpid()


async def test_a_process_that_ends_closes_its_link_and_says_how_it_ended(processes: Processes) -> None:
    async with processes.spawn(FACTS) as process:
        talk = await talk_to(process)
        await talk.send(ReadFacts(("exit:3",)))
        assert await talk.hear() is None
        first = await process.wait()
        assert first.status == 3
        assert await process.wait() == first


async def test_two_may_wait_for_the_same_end(processes: Processes) -> None:
    exits = []
    async with processes.spawn(FACTS) as process:

        async def wait() -> None:
            exits.append(await process.wait())

        async with trio.open_nursery() as nursery:
            nursery.start_soon(wait)
            nursery.start_soon(wait)
            await talk_to(process)
            process.kill()
    assert exits[0] == exits[1]


async def test_a_wait_that_was_given_up_changes_nothing(processes: Processes) -> None:
    async with processes.spawn(FACTS) as process:
        with trio.CancelScope() as scope:
            scope.cancel()
            await process.wait()
        assert scope.cancelled_caught
        process.kill()
        assert (await process.wait()).status == -signal.SIGKILL


async def test_terminate_ends_it(processes: Processes) -> None:
    async with processes.spawn(FACTS) as process:
        await talk_to(process)
        process.terminate()
        assert (await process.wait()).status in (0, -signal.SIGTERM)


async def test_kill_ends_it_and_is_no_lack_of_memory(processes: Processes) -> None:
    async with processes.spawn(FACTS) as process:
        process.kill()
        process.kill()
        exit = await process.wait()
    assert exit.status == -signal.SIGKILL
    assert not exit.was_out_of_memory


async def test_what_the_system_has_seen_is_known_before_anybody_waits(processes: Processes) -> None:
    async with processes.spawn(FACTS) as process:
        await talk_to(process)
        assert not process.has_ended
        assert not process.is_stopped
        process.kill()
        await process.wait()
        assert process.has_ended
        assert not process.is_stopped


async def test_signals_to_a_process_that_is_gone_do_nothing(processes: Processes) -> None:
    async with processes.spawn(FACTS) as process:
        process.kill()
        before = await process.wait()
        process.terminate()
        process.kill()
        assert await process.wait() == before
    process.kill()
    assert await process.wait() == before


async def test_leaving_the_context_ends_what_is_still_there(processes: Processes) -> None:
    async with processes.spawn(FACTS) as process:
        await talk_to(process)
    assert (await process.wait()).status == -signal.SIGKILL


async def test_leaving_by_a_cancel_ends_it_too(processes: Processes) -> None:
    with trio.CancelScope() as scope:
        async with processes.spawn(FACTS) as process:
            await talk_to(process)
            scope.cancel()
            await trio.sleep_forever()
    assert scope.cancelled_caught
    assert (await process.wait()).status == -signal.SIGKILL


async def test_what_the_body_raises_leaves_as_it_is(processes: Processes) -> None:
    with pytest.raises(ZeroDivisionError):
        async with processes.spawn(FACTS) as process:
            raise ZeroDivisionError
    assert (await process.wait()).status == -signal.SIGKILL


async def test_closing_the_link_lets_the_runner_go(processes: Processes) -> None:
    async with processes.spawn(FACTS) as process:
        await talk_to(process)
        await process.link.aclose()
        await process.link.aclose()
        assert (await process.wait()).status not in (-signal.SIGKILL, -signal.SIGTERM)


async def test_a_link_that_we_closed_is_closed(processes: Processes) -> None:
    async with processes.spawn(FACTS) as process:
        await process.link.aclose()
        with pytest.raises(trio.ClosedResourceError):
            await process.link.receive()
        with pytest.raises(trio.ClosedResourceError):
            await process.link.send(b"x")


async def test_a_link_whose_runner_is_gone_is_broken(processes: Processes) -> None:
    async with processes.spawn(FACTS) as process:
        talk = await talk_to(process)
        process.kill()
        await process.wait()
        assert await talk.hear() is None
        with pytest.raises(trio.BrokenResourceError):
            await process.link.send(b"x")
