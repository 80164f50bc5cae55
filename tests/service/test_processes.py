"""Real runner processes, started by the one spawn path; the program they run is `tests.fakes.obedient`."""

import fcntl
import json
import os
import resource
import signal
import struct
import subprocess
import sys
import termios
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import psutil
import pytest
import trio

from service import processes
from service.environment import ALLOWED, FIXED, EnvironmentClass
from service.output import TAIL_LINES_MAX
from service.ports import Process
from service.processes import LINES_MAX, RunnerProcesses
from statemachines.units import MIB
from statemachines.wire.exits import ExitStatus
from statemachines.wire.link import Task
from statemachines.wire.messages import Hello, ReadFacts, Shutdown
from statemachines.wire.version import VERSION
from tests.fakes.processes import FACTS
from tests.fakes.runner_talk import Talk, obedient_processes, talk_to

CHECKOUT = Path(__file__).parents[2]
STACK_BYTES = 112 * MIB
"""As `runner.hardening` has it; tests of the service do not import the runner."""


async def test_the_product_s_own_command_greets_and_obeys_shutdown() -> None:
    async with RunnerProcesses().spawn(FACTS) as process:
        talk = Talk(process, Task.FACTS)
        hello = await talk.greet()
        assert (hello.pid, hello.version, hello.engine) == (process.pid, VERSION, "")
        await talk.send(Shutdown())
        assert await talk.hear() is None
        assert (await process.wait()).status == ExitStatus.DONE


async def test_only_listed_variables_reach_a_runner() -> None:
    secrets = {"OPENAI_API_KEY": "sk-1", "HF_TOKEN": "hf", "DATABASE_URL": "postgres://", "LLAMA_API_KEY": "x"}
    own = {**secrets, "LD_PRELOAD": "", "OMP_NUM_THREADS": "64", "OMP_WAIT_POLICY": "active", "HOME": "/home/me"}
    async with obedient_processes(own).spawn(FACTS) as process:
        environment = json.loads(await (await talk_to(process)).order("environment"))
    # Some interpreters add a variable about their locale by themselves.
    assert {name: value for name, value in environment.items() if name != "LC_CTYPE"} == {**FIXED, "HOME": "/home/me"}


async def test_the_variables_of_its_class_come_on_top() -> None:
    kind = EnvironmentClass(Task.FACTS, variables={"CUDA_VISIBLE_DEVICES": "1", "OMP_WAIT_POLICY": "active"})
    async with obedient_processes({"CUDA_VISIBLE_DEVICES": "0,1"}).spawn(kind) as process:
        environment = json.loads(await (await talk_to(process)).order("environment"))
    assert {name: environment[name] for name in kind.variables} == kind.variables


def test_every_listed_variable_has_a_reason_and_none_looks_like_a_secret() -> None:
    assert all(ALLOWED.values())
    assert not [name for name in ALLOWED if any(word in name for word in ("KEY", "TOKEN", "SECRET", "PASS"))]


async def test_a_runner_starts_apart_from_the_service_and_harmless() -> None:
    async with obedient_processes().spawn(FACTS) as process:
        situation = json.loads(await (await talk_to(process)).order("situation"))
    modules = situation.pop("modules")
    assert not {"numpy", "llama_cpp", "trio", "service"} & set(modules)
    assert situation.pop("core_bytes_max") in ([0, 0], [1, 1])
    assert situation.pop("memory_bytes_max") == -1
    assert situation.pop("stack_bytes_max") in (STACK_BYTES, resource.RLIM_INFINITY)
    assert situation.pop("oom_score_adj") == ("1000" if sys.platform == "linux" else "")
    assert situation == {
        "folder": "/",
        "leads_its_session": True,
        "ignores_sigint": True,
        "stdin_at_end": True,
        "inherited": [],
    }


async def test_what_a_runner_prints_reaches_the_log_and_the_report_of_its_end() -> None:
    lines: list[str] = []
    async with obedient_processes().spawn(FACTS, on_line=lines.append) as process:
        talk = await talk_to(process)
        await talk.order("say:one")
        await talk.order(f"say_bytes:{b'native'.hex()}")
        await talk.send(ReadFacts(("exit:3",)))
        exit = await process.wait()
    assert lines == ["one", "native"]
    assert exit.stderr_tail == "one\nnative"
    assert exit.status == 3


async def test_of_very_many_lines_some_are_passed_on_the_rest_is_counted_and_the_tail_is_the_last() -> None:
    size = 32768
    program = f"import os; os.write(1, b''.join(b'%d\\n' % number for number in range({size})))"
    lines: list[str] = []
    async with RunnerProcesses([sys.executable, "-c", program]).spawn(FACTS, on_line=lines.append) as process:
        exit = await process.wait()
    left_out = [int(line.split()[0]) for line in lines if line.endswith(" lines left out")]
    passed_on = [int(line) for line in lines if line.isdecimal()]
    assert passed_on[:LINES_MAX] == list(range(LINES_MAX))
    assert left_out
    assert len(passed_on) + sum(left_out) == size
    assert exit.stderr_tail.split("\n") == [str(number) for number in range(size - TAIL_LINES_MAX, size)]


async def test_what_it_prints_while_being_cancelled_is_still_heard() -> None:
    lines: list[str] = []
    with trio.CancelScope() as cancelled:
        async with obedient_processes().spawn(FACTS, on_line=lines.append) as process:
            talk = await talk_to(process)
            cancelled.cancel()
            with trio.CancelScope(shield=True):
                await talk.order("say:last words")
    assert lines == ["last words"]


async def test_a_memory_limit_makes_an_allocation_fail_and_the_end_says_so() -> None:
    async with obedient_processes().spawn(EnvironmentClass(Task.FACTS, 512 * MIB)) as process:
        talk = await talk_to(process)
        assert await talk.order(f"allocate:{16 * MIB}") == str(16 * MIB)
        await talk.send(ReadFacts((f"allocate:{1024 * MIB}",)))
        exit = await process.wait()
    assert exit.status == ExitStatus.OUT_OF_MEMORY
    assert exit.was_out_of_memory
    assert "out of memory" in exit.stderr_tail


async def test_a_bug_in_a_task_ends_the_runner_with_its_traceback() -> None:
    async with obedient_processes().spawn(FACTS) as process:
        await (await talk_to(process)).send(ReadFacts(("fail:planted",)))
        exit = await process.wait()
    assert exit.status == ExitStatus.CRASHED
    assert "RuntimeError: planted" in exit.stderr_tail


async def test_a_native_crash_leaves_the_python_stack() -> None:
    async with obedient_processes().spawn(FACTS) as process:
        await (await talk_to(process)).send(ReadFacts(("crash",)))
        exit = await process.wait()
    assert exit.status == -signal.SIGABRT
    assert not exit.was_out_of_memory
    assert "in crash" in exit.stderr_tail


@pytest.mark.skipif(sys.platform != "linux", reason="elsewhere C++'s runtime is another one")
async def test_an_allocation_that_fails_in_native_code_is_out_of_memory() -> None:
    async with obedient_processes().spawn(EnvironmentClass(Task.FACTS, 512 * MIB)) as process:
        await (await talk_to(process)).send(ReadFacts((f"allocate_natively:{1024 * MIB}",)))
        exit = await process.wait()
    assert exit.status == -signal.SIGABRT
    assert exit.was_out_of_memory


@pytest.mark.skipif(sys.platform != "linux", reason="elsewhere nobody else can hold a pipe open")
async def test_such_an_end_is_known_although_a_stranger_holds_the_output_open(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(processes, "OUTPUT_S", 0)  # The words are read before the end, so nothing is to be waited for.
    said_so = trio.Event()
    async with obedient_processes().spawn(FACTS, on_line=lambda _line: said_so.set()) as process:
        talk = await talk_to(process)
        async with await trio.open_file(f"/proc/{process.pid}/fd/2", "wb"):
            await talk.order(f"say:  {processes.NATIVE_OUT_OF_MEMORY}")
            await said_so.wait()
            await talk.send(ReadFacts(("crash",)))
            assert (await process.wait()).was_out_of_memory


async def test_the_words_alone_are_no_lack_of_memory() -> None:
    async with obedient_processes().spawn(FACTS) as process:
        talk = await talk_to(process)
        await talk.order(f"say:{processes.NATIVE_OUT_OF_MEMORY}")
        await talk.send(ReadFacts(("exit:3",)))
        assert not (await process.wait()).was_out_of_memory


async def test_a_closed_link_ends_a_runner_whose_engine_is_in_native_code() -> None:
    async with busy_runner() as process:
        await process.link.aclose()
        exit = await process.wait()
    assert exit.status == ExitStatus.LINK_CLOSED


async def test_sigterm_ends_a_runner_whose_engine_is_in_native_code() -> None:
    async with busy_runner() as process:
        process.terminate()
        assert (await process.wait()).status == ExitStatus.DONE


@asynccontextmanager
async def busy_runner() -> AsyncIterator[Process]:
    """A runner whose engine thread is in native code and stays there."""
    said_so = trio.Event()
    async with obedient_processes().spawn(FACTS, on_line=lambda _line: said_so.set()) as process:
        await (await talk_to(process)).send(ReadFacts(("be_busy",)))
        await said_so.wait()
        yield process


@asynccontextmanager
async def runner_of_another_service(*orders: str) -> AsyncIterator[tuple[trio.Process, psutil.Process]]:
    """A process of its own plays a service that gives its runner these orders, and hears nothing any more from then on.

    The orders go straight to the socket: in a round of the loop the service might still hear what they bring about.
    """
    program = (
        "import os, signal, sys, trio\n"
        "from statemachines.wire.messages import ReadFacts\n"
        "from tests.fakes.processes import FACTS\n"
        "from tests.fakes.runner_talk import *\n"
        "async def main():\n"
        "    async with obedient_processes().spawn(FACTS) as process:\n"
        "        talk = await talk_to(process)\n"
        "        for order in sys.argv[1:]: os.write(process.link.fd, talk.link.send(ReadFacts((order,))))\n"
        "        print(process.pid, flush=True); signal.pause()\n"
        "trio.run(main)"
    )
    command = [sys.executable, "-c", program, *orders]
    service = await trio.lowlevel.open_process(command, stdout=subprocess.PIPE, cwd=CHECKOUT)
    try:
        assert service.stdout is not None
        yield service, psutil.Process(int(await service.stdout.receive_some()))
    finally:
        service.kill()
        await service.wait()
        await service.stdout.aclose()


async def ended(runner: psutil.Process) -> bool:
    await trio.to_thread.run_sync(psutil.wait_procs, [runner], 20)
    return not runner.is_running() or runner.status() == psutil.STATUS_ZOMBIE


async def test_the_death_of_the_service_ends_its_runners() -> None:
    async with runner_of_another_service() as (service, runner):
        service.kill()
        assert await ended(runner)


@pytest.mark.skipif(sys.platform != "linux", reason="elsewhere nobody else can see what a pipe holds")
async def test_the_death_of_the_service_ends_a_runner_in_native_code() -> None:
    async with runner_of_another_service("be_busy") as (service, runner):
        await until_said(runner, len("busy\n"))
        service.kill()
        assert await ended(runner)


@pytest.mark.skipif(sys.platform != "linux", reason="elsewhere nobody else can see what a pipe holds")
async def test_the_death_of_the_service_ends_a_runner_that_waits_for_room_in_its_log() -> None:
    async with runner_of_another_service("flood") as (service, runner):
        await until_said(runner, None)
        service.kill()
        assert await ended(runner)


async def until_said(runner: psutil.Process, size_bytes: int | None) -> None:
    """Wait until the pipe for its output holds so much that nobody has read; None is all that it can."""
    pipe = os.open(f"/proc/{runner.pid}/fd/2", os.O_RDONLY)
    size_bytes = size_bytes or fcntl.fcntl(pipe, fcntl.F_GETPIPE_SZ)
    while unread_bytes(pipe) < size_bytes:
        await trio.lowlevel.checkpoint()
    os.close(pipe)


def unread_bytes(pipe: int) -> int:
    (count,) = struct.unpack("i", fcntl.ioctl(pipe, termios.FIONREAD, b"\0" * 4))
    return int(count)


async def test_a_runner_of_another_protocol_says_so_and_leaves() -> None:
    async with obedient_processes().spawn(FACTS) as process:
        link = Talk(process, Task.FACTS).link
        data = bytearray(link.send(Hello(1, "test", 1)))
        data[data.index(b"protocol") + len(b"protocol")] = 99
        await process.link.send(bytes(data))
        exit = await process.wait()
    assert exit.status == ExitStatus.PROTOCOL
    assert "protocol 99" in exit.stderr_tail


async def test_a_command_that_does_not_exist_is_an_os_error_and_leaves_nothing() -> None:
    with pytest.raises(FileNotFoundError):
        async with RunnerProcesses(["/nowhere/python"]).spawn(FACTS):
            pytest.fail("nothing was started")


async def test_a_program_that_ends_at_once_is_an_end_like_any_other() -> None:
    lines: list[str] = []
    async with RunnerProcesses([sys.executable, "-c", "print('no')"]).spawn(FACTS, on_line=lines.append) as process:
        assert await process.link.receive() == b""
        assert (await process.wait()).status == 0
    assert lines == ["no"]


async def test_an_error_of_the_log_is_not_swallowed() -> None:
    def broken(_line: str) -> None:
        raise ZeroDivisionError

    with pytest.RaisesGroup(ZeroDivisionError):
        async with obedient_processes().spawn(FACTS, on_line=broken) as process:
            await (await talk_to(process)).order("say:x")
            await trio.sleep_forever()


async def test_sigint_does_not_reach_it() -> None:
    async with obedient_processes().spawn(FACTS) as process:
        talk = await talk_to(process)
        os.kill(process.pid, signal.SIGINT)
        assert await talk.order("echo:still here") == "still here"


async def test_many_runners_live_side_by_side() -> None:
    async with obedient_processes().spawn(FACTS) as first, obedient_processes().spawn(FACTS) as second:
        await talk_to(first)
        talk = await talk_to(second)
        first.kill()
        assert (await first.wait()).status == -signal.SIGKILL
        assert await talk.order("echo:me") == "me"
