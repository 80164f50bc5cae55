"""Starting, watching and ending runner processes: the one spawn path, whatever the task.

A process is spawned as nobody in particular: which model it will load is said over its link, so that one that was
started ahead of time is as good as a fresh one.

Ends are watched, never assumed. Signals go to a process only until it is reaped, so never to another one that has
got its number. A runner is not tied to us by a parent-death signal: that would follow the *thread* which happened to
start it, and kill it when that thread goes. It ends itself when its link ends, which the kernel sees to even when we
are killed.
"""

import os
import signal
import socket
import subprocess
import sys
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from os import environ
from pathlib import Path

import psutil
import trio

from service.births import ProcessIdentity, own_identity
from service.environment import EnvironmentClass, runner_environment
from service.oom import OomWatch, OomWitness
from service.output import Lines
from service.ports import ByteLink, unheard
from service.socket_link import SocketLink
from service.threads import thread_needed
from statemachines.events import Exit, MemoryBound
from statemachines.wire.exits import ExitStatus

RUNNER = (sys.executable, "-P", "-m", "runner")
"""``-P``: a folder named ``runner`` in the current directory is not ours."""
OWNER_FLAG = "--owner"
"""Followed by the identity of the server and its state folder, so that a runner which outlives it is known as its own
(`service.orphans`). On the command line, and so from the first instant on: a list of runners could be behind."""
NEUTRAL_FOLDER = "/"
"""Always there, and keeps no disk busy."""
LOOK_S = 1
"""How often it is looked in which control group a process is: somebody may move it."""
REAP_S = 5
"""How long leaving waits for a process that was killed; one that hangs in the kernel is left behind."""
OUTPUT_S = 1
"""How long the last output of a dead process is waited for; a child of its own may hold the pipe open."""
LINES_MAX = 100
"""Lines that are passed on of one piece of output. A piece may be 64 KiB and so 32,768 lines, and while they are logged
the loop does nothing else."""


NATIVE_OUT_OF_MEMORY = "what():  std::bad_alloc"
"""Second of the two lines that C++'s runtime (libstdc++) prints before it aborts: an allocation failed in native code,
and nothing between there and here caught it."""

_STOPPED = (psutil.STATUS_STOPPED, psutil.STATUS_TRACING_STOP)


def owner_words(server: ProcessIdentity, state: Path | None) -> str:
    """To whom a runner belongs, as its command line says it."""
    return f"{server}@{'' if state is None else os.path.realpath(state)}"


class RunnerProcess:
    """One started process.

    Attributes:
        pid: its number.
        link: our end of its socket.
    """

    def __init__(self, process: trio.Process, link: ByteLink, memory: OomWatch) -> None:
        self.pid = process.pid
        self.link: ByteLink = link
        self._process = process
        self._memory = memory
        self._was_killed_by_us = False
        self._lines = Lines()
        self._reading = trio.CancelScope(shield=True)  # What a process says while it is being stopped is read too.
        self._output_ended = trio.Event()
        self._ran_out_of_memory: bool | None = None
        self._exit: Exit | None = None

    def __repr__(self) -> str:
        return f"<RunnerProcess {self.pid} {self._exit or 'running'}>"

    @property
    def has_ended(self) -> bool:
        return self._process.poll() is not None

    @property
    def is_stopped(self) -> bool:
        try:
            return psutil.Process(self.pid).status() in _STOPPED
        except psutil.Error:  # It is gone.
            return False

    def memory_bound(self) -> MemoryBound | None:
        """The tightest limit on its memory, as it is now; of a process that is gone, as it was."""
        self._look()
        return self._memory.bound

    def _look(self) -> None:
        """Once it is reaped its number may be another process's."""
        if not self.has_ended:
            self._memory.look()

    def terminate(self) -> None:
        """SIGTERM: end in an orderly way. Without effect on a process that is gone."""
        self._process.send_signal(signal.SIGTERM)

    def kill(self) -> None:
        """SIGKILL. Without effect on a process that is gone."""
        self._was_killed_by_us = self._was_killed_by_us or self._process.poll() is None
        self._process.send_signal(signal.SIGKILL)

    async def wait(self) -> Exit:
        """How it ended, once it is reaped and its output is read; the same answer every time."""
        status = await self._end()
        if self._ran_out_of_memory is None:
            self._ran_out_of_memory = self._evidence(status)
        with trio.move_on_after(OUTPUT_S):
            await self._output_ended.wait()
        was_out_of_memory = self._ran_out_of_memory or self._said_out_of_memory(status)
        self._exit = self._exit or Exit(status, was_out_of_memory, self._lines.tail, self._memory.bound)
        return self._exit

    async def _end(self) -> int:
        """Wait for it, and look now and then where it is: once it is dead nobody can say."""
        while True:
            with trio.move_on_after(LOOK_S):
                return await self._process.wait()
            self._look()

    async def read_output(self, on_line: Callable[[str], None]) -> None:
        """Read stdout and stderr to their end; until `leave` at the latest."""
        assert self._process.stdout is not None
        try:
            with self._reading:
                async with self._process.stdout:
                    async for data in self._process.stdout:
                        _give(self._lines.feed(bytes(data)), on_line)
                    _give(self._lines.end(), on_line)
        finally:
            self._output_ended.set()

    async def leave(self) -> None:
        """Whatever state it is in: kill, reap, close. Not interrupted, and not endless."""
        self.kill()
        with trio.CancelScope(shield=True):
            with trio.move_on_after(REAP_S):
                await self.wait()
            self._reading.cancel()
            await self.link.aclose()

    def _evidence(self, status: int) -> bool:
        """What status and kernel say; at once, since others' killings are counted at the same place."""
        if status == -signal.SIGKILL and not self._was_killed_by_us:
            return self._memory.was_killed()
        return status == ExitStatus.OUT_OF_MEMORY

    def _said_out_of_memory(self, status: int) -> bool:
        """What an aborted process said last; to be asked once that is read."""
        lines = self._lines.tail.splitlines()
        return status == -signal.SIGABRT and NATIVE_OUT_OF_MEMORY in map(str.strip, lines)


def _give(lines: Sequence[str], on_line: Callable[[str], None]) -> None:
    """What is left out here is in the tail all the same, as far as that goes back."""
    for line in lines[:LINES_MAX]:
        on_line(line)
    if len(lines) > LINES_MAX:
        on_line(f"{len(lines) - LINES_MAX} lines left out")


class RunnerProcesses:
    """Starts runner processes.

    Args:
        command: what is started, without task and options; tests put in programs of their own.
        environment: where the allowed variables are taken from.
        state: the state folder of the server that runners are started for.
    """

    def __init__(
        self,
        command: Sequence[str] = RUNNER,
        environment: Mapping[str, str] = environ,
        *,
        state: Path | None = None,
    ) -> None:
        self._command = tuple(command)
        self._environment = environment
        self._witness = OomWitness()
        self._owner = owner_words(own_identity(), state)

    @asynccontextmanager
    async def spawn(
        self, kind: EnvironmentClass, *, on_line: Callable[[str], None] = unheard
    ) -> AsyncIterator[RunnerProcess]:
        """A new process for as long as the context lasts; leaving it kills and reaps what is still there.

        What the body raises leaves as it is, not in a group.

        Args:
            kind: what it is started for and with.
            on_line: gets the lines that it prints, cleaned and cut (`service.output`), or how many were left out.

        Raises:
            OSError: the system could not start it.
        """
        process = await self._start(kind)
        failure: BaseException | None = None
        async with trio.open_nursery() as nursery:
            nursery.start_soon(process.read_output, on_line)
            try:
                yield process
            except BaseException as error:
                failure = error
            await process.leave()
            nursery.cancel_scope.shield = True  # It ends now by itself; a cancel from outside would hide the failure.
        if failure is not None:
            raise failure

    async def _start(self, kind: EnvironmentClass) -> RunnerProcess:
        ours, theirs = socket.socketpair()
        with theirs:
            try:
                process = await self._open(kind, theirs.fileno())
            except BaseException:
                ours.close()
                raise
        return RunnerProcess(process, SocketLink(ours), self._witness.watch(process.pid))

    async def _open(self, kind: EnvironmentClass, fd: int) -> trio.Process:
        limit = () if kind.memory_bytes is None else ("--memory-bytes", str(kind.memory_bytes))
        with thread_needed():
            return await trio.lowlevel.open_process(
                (*self._command, kind.task, "--fd", str(fd), OWNER_FLAG, self._owner, *limit),
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                pass_fds=(fd,),
                cwd=NEUTRAL_FOLDER,
                env={**runner_environment(self._environment), **kind.variables},
                start_new_session=True,  # A terminal's Ctrl-C and hang-up are for the service, which decides for all.
            )
