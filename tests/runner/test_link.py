"""The link thread of a real runner process: `tests.fakes.obedient`, seen from the service's side."""

import signal
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import msgspec
import trio

from runner.link import OUTBOX_LEN_MAX
from service.ports import Process
from statemachines.facts import FileIdentity, LoadOptions
from statemachines.units import MIB, LeaseId
from statemachines.wire.codec import encode
from statemachines.wire.exits import ExitStatus
from statemachines.wire.link import Task
from statemachines.wire.messages import (
    PROTOCOL_VERSION,
    Cancel,
    Delta,
    EndReason,
    Generate,
    Hello,
    LeaseEnded,
    Load,
    Progress,
    ReadFacts,
    Ready,
    SetThreads,
    Shutdown,
    TextPrompt,
    ThreadsSet,
    Tokens,
)
from tests.fakes.processes import FACTS, SERVE
from tests.fakes.runner_talk import Talk, obedient_processes, talk_to

LOAD = Load(("/models/a.gguf",), (FileIdentity(1, 2, 3, 4),), LoadOptions(context_tokens=4096))
LEASE = LeaseId(1)


@asynccontextmanager
async def loaded_runner() -> AsyncIterator[tuple[Process, Talk]]:
    async with obedient_processes().spawn(SERVE) as process:
        talk = await talk_to(process, Task.SERVE)
        await talk.send(LOAD)
        assert isinstance(await talk.hear(), Progress)
        assert isinstance(await talk.hear(), Ready)
        yield process, talk


@asynccontextmanager
async def preparing_runner() -> AsyncIterator[Process]:
    """A runner that has not greeted, and never will."""
    kind, said_so = msgspec.structs.replace(SERVE, variables={"NEVER_READY": "1"}), trio.Event()
    async with obedient_processes().spawn(kind, on_line=lambda _line: said_so.set()) as process:
        await said_so.wait()
        yield process


async def test_a_closed_link_ends_a_runner_that_is_not_ready_to_greet() -> None:
    async with preparing_runner() as process:
        await process.link.aclose()
        assert (await process.wait()).status == ExitStatus.LINK_CLOSED


async def test_sigterm_and_shutdown_end_a_runner_that_is_not_ready_to_greet() -> None:
    async with preparing_runner() as process:
        process.terminate()
        assert (await process.wait()).status == ExitStatus.DONE
    async with preparing_runner() as process:
        talk = Talk(process, Task.SERVE)
        await talk.send(Hello(PROTOCOL_VERSION, "test", 1))
        await talk.send(Shutdown())
        assert (await process.wait()).status == ExitStatus.DONE


async def test_the_greeting_names_the_engine_that_was_prepared() -> None:
    async with obedient_processes().spawn(SERVE) as process:
        assert (await Talk(process, Task.SERVE).greet()).engine == "obedient 1"
    async with obedient_processes().spawn(FACTS) as process:
        assert (await Talk(process, Task.FACTS).greet()).engine == ""


async def hold(talk: Talk) -> None:
    """Open a lease that stays open."""
    await talk.send(Generate(LEASE, TextPrompt("hold")))
    assert isinstance(await talk.hear(), Tokens)


async def test_a_prompt_is_answered_step_by_step_and_its_lease_ends() -> None:
    async with loaded_runner() as (_, talk):
        await talk.send(Generate(LEASE, TextPrompt("a b")))
        heard = [await talk.hear() for _ in range(3)]
    assert heard == [
        Tokens(0, (Delta(LEASE, "a"),)),
        Tokens(1, (Delta(LEASE, "b"),)),
        LeaseEnded(LEASE, EndReason.STOP),
    ]


async def test_orders_reach_the_engine_in_turn() -> None:
    async with loaded_runner() as (_, talk):
        await hold(talk)
        await talk.send(SetThreads(2))
        await talk.send(Cancel(LEASE))
        assert [await talk.hear(), await talk.hear()] == [ThreadsSet(2), LeaseEnded(LEASE, EndReason.CANCELLED)]


async def test_shutdown_ends_the_leases_before_the_process() -> None:
    async with loaded_runner() as (process, talk):
        await hold(talk)
        await talk.send(Shutdown())
        await ends_in_order(process, talk)


async def test_sigterm_is_a_shutdown() -> None:
    async with loaded_runner() as (process, talk):
        await hold(talk)
        process.terminate()
        await ends_in_order(process, talk)


async def test_shutdown_and_sigterm_together_are_one_shutdown() -> None:
    async with loaded_runner() as (process, talk):
        await hold(talk)
        await talk.send(Shutdown())
        process.terminate()
        await ends_in_order(process, talk)


async def ends_in_order(process: Process, talk: Talk) -> None:
    assert await talk.hear() == LeaseEnded(LEASE, EndReason.CANCELLED)
    assert await talk.hear() is None
    assert (await process.wait()).status == ExitStatus.DONE


async def test_a_loaded_runner_follows_its_link() -> None:
    async with loaded_runner() as (process, talk):
        await hold(talk)
        await process.link.aclose()
        assert (await process.wait()).status == ExitStatus.LINK_CLOSED


async def test_a_kill_ends_the_link_too() -> None:
    async with loaded_runner() as (process, talk):
        await hold(talk)
        process.kill()
        assert await talk.hear() is None
        assert (await process.wait()).status == -signal.SIGKILL


async def test_what_was_said_before_the_end_is_written_before_the_end() -> None:
    text = "x" * (20 * MIB)
    async with obedient_processes().spawn(FACTS) as process:
        talk = await talk_to(process)
        assert await talk.order(f"echo:{text}") == text
        await talk.send(ReadFacts((f"echo_and_exit:{text}",)))
        answer = await talk.hear()
        assert answer is not None
        assert await talk.hear() is None
        assert (await process.wait()).status == ExitStatus.DONE


async def test_the_engine_does_not_wait_for_a_service_that_reads_late() -> None:
    words = [str(number) for number in range(20_000)]
    async with loaded_runner() as (_, talk):
        await talk.send(Generate(LEASE, TextPrompt(" ".join(words))))
        await talk.send(SetThreads(2))  # Read by the runner while most of its answer is not.
        heard = [await talk.hear() for _ in range(len(words) + 2)]
    assert [tokens.deltas[0].text for tokens in heard if isinstance(tokens, Tokens)] == words
    assert heard[-2:] == [LeaseEnded(LEASE, EndReason.STOP), ThreadsSet(2)]


async def test_a_service_that_never_reads_is_given_up() -> None:
    async with loaded_runner() as (process, talk):
        await talk.send(Generate(LEASE, TextPrompt("word " * (OUTBOX_LEN_MAX + 20_000))))
        exit = await process.wait()
    assert exit.status == ExitStatus.PROTOCOL
    assert "unread" in exit.stderr_tail


async def test_a_service_that_breaks_the_protocol_is_told_so_in_the_log() -> None:
    async with obedient_processes().spawn(SERVE) as process:
        await talk_to(process, Task.SERVE)
        await process.link.send(encode(SetThreads(2)))
        exit = await process.wait()
    assert exit.status == ExitStatus.PROTOCOL
    assert "service may not send SetThreads: the link is idle" in exit.stderr_tail


async def test_a_task_that_breaks_the_protocol_is_a_bug_of_the_runner() -> None:
    async with obedient_processes().spawn(FACTS) as process:
        await (await talk_to(process)).send(ReadFacts(("speak_out_of_turn",)))
        exit = await process.wait()
    assert exit.status == ExitStatus.CRASHED
    assert "runner may not send Progress: the link is reading" in exit.stderr_tail
