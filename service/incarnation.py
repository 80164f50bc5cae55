"""One runner process as one supervised task, from spawn to reaping, with one closing event on every path.

Theory of operation. The task spawns the process, greets it, lets it load, and turns what it says into events and
pieces of answers until the link ends; then it waits for the process. `ProcessExited` is posted after the link was
read to its end, and before it every open lease is ended. A link that ends while the process lives on, also in the
middle of a message, is given `link_exit_ns`: how the process ends says why. A broken protocol is given nothing. Then
`LinkLost` is posted and the core has the process killed.

Orders (terminate, kill) are flags that count at any moment, also while the process is still being spawned.
"""

import os
import signal
from functools import partial

import msgspec
import trio
from structlog.typing import FilteringBoundLogger

from service.config import Settings
from service.environment import EnvironmentClass
from service.front import StoredModel
from service.hearing import Hearing, without_overtaken
from service.logs import plain_tail, say_native
from service.open_leases import OpenLeases
from service.ports import Clock, GateOf, OnAnswer, Process, Processes, uncounted, ungated
from service.reactor import Post
from service.runner_link import RunnerLink
from service.runner_record import RunnerRecord
from service.version import own_version
from statemachines import events
from statemachines.effects import SpawnRunner
from statemachines.errors import RemoteWireError
from statemachines.events import Exit, MemoryBound
from statemachines.facts import LoadedFacts
from statemachines.units import NS_PER_S
from statemachines.wire import messages as wire
from statemachines.wire.link import Task
from statemachines.wire.messages import ToRunner

SERVE = EnvironmentClass(Task.SERVE)
"""What every incarnation is spawned for and with."""


class Surroundings(msgspec.Struct, frozen=True):
    """What every incarnation talks to.

    Attributes:
        post, post_next: of the reactor.
        gate_of: where a fault test holds a load; nothing in the product does.
        on_answer: told the model and the runner's last word about each lease.
    """

    processes: Processes
    post: Post
    post_next: Post
    clock: Clock
    settings: Settings
    log: FilteringBoundLogger
    gate_of: GateOf = ungated
    on_answer: OnAnswer = uncounted


class Incarnation:
    """One runner process."""

    def __init__(self, order: SpawnRunner, model: StoredModel, around: Surroundings) -> None:
        self._order = order
        self._model = model
        self._around = around
        self._post = around.post
        self.record = RunnerRecord(order.runner, order.model, clock=around.clock, log=around.log)
        self.leases = OpenLeases(
            self.record,
            post=around.post,
            post_next=around.post_next,
            send=self._send,
            clock=around.clock,
            stall_ns=around.settings.client_stall_ns,
            on_end=partial(around.on_answer, order.model),
        )
        self._hearing = Hearing(
            self.record, self.leases, post=around.post, on_hello=self._ask_to_load, bound=self._memory_bound
        )
        self._process: Process | None = None
        self._link: RunnerLink | None = None
        self._exit: Exit | None = None
        self._gone = trio.Event()
        self._reading = trio.CancelScope()
        self._spawn_fault = ""
        self._must_end = self._must_die = False

    @property
    def loaded(self) -> LoadedFacts | None:
        """What it holds; None until it is READY."""
        return self._hearing.loaded

    # Orders: performed without waiting

    def terminate(self) -> None:
        """Ask the process to end, now or as soon as it is there."""
        self._must_end = True
        if self._process is not None and not self._gone.is_set():
            self._send(wire.Shutdown())
            self._process.terminate()

    def kill(self) -> None:
        """End the process, now or as soon as it is there."""
        self._must_die = True
        if self._process is not None and not self._gone.is_set():
            self._process.kill()

    def set_threads(self, threads: int) -> None:
        self._send(wire.SetThreads(threads))

    def _send(self, message: ToRunner) -> None:
        if self._link is None or not self._link.send(message):
            self.record.say("debug", "too late to tell the runner", message=type(message).__name__)

    # The task

    async def run(self) -> None:
        """Live from spawn to reaping; posts exactly one closing event, whatever happens."""
        try:
            async with self._around.processes.spawn(SERVE, on_line=self._hear_output) as process:
                await self._live(process)
        except OSError as error:
            if self._process is not None:
                raise
            self._spawn_fault = error.strerror or repr(error)
        finally:
            self._close()

    async def _live(self, process: Process) -> None:
        async with trio.open_nursery() as nursery:
            link = self._attach(process)
            nursery.start_soon(link.pump)
            nursery.start_soon(self._watch, process)
            fault = await self._read_to_end(link)
            await self._see_off(fault)
            nursery.cancel_scope.cancel()

    def _attach(self, process: Process) -> RunnerLink:
        """Take over the process; orders that came during the spawn are carried out now."""
        self._process = process
        self._link = link = RunnerLink(process.link, Task.SERVE)
        self.record.pid = process.pid
        self.record.say("info", "runner started", phase="spawn", fd=process.link.fd)
        link.send(wire.Hello(wire.PROTOCOL_VERSION, own_version(), os.getpid()))
        if self._must_die:
            self.kill()
        elif self._must_end:
            self.terminate()
        return link

    def _ask_to_load(self) -> None:
        model, order = self._model, self._order
        gate_path = self._around.gate_of(order)
        self._send(wire.Load(model.paths, model.identities, order.options, order.threads, gate_path))

    def _memory_bound(self) -> MemoryBound | None:
        return None if self._process is None else self._process.memory_bound()

    def _hear_output(self, line: str) -> None:
        say_native(self.record.say, line)

    async def _watch(self, process: Process) -> None:
        """Reap. What the process said last is still read; a stranger who holds its link open is not waited for."""
        self._exit = await process.wait()
        self._reading.deadline = trio.current_time() + self._around.settings.link_exit_ns / NS_PER_S
        self._gone.set()

    async def _read_to_end(self, link: RunnerLink) -> str:
        """Hear the runner until its link ends; how it broke the protocol, or an empty string."""
        try:
            with self._reading:
                while (messages := await link.receive()) is not None:
                    for message in without_overtaken(messages):
                        self._hearing.hear(message)
        except RemoteWireError as error:
            return f"the runner broke the protocol: {error}"
        return ""

    async def _see_off(self, fault: str) -> None:
        """The link is over: the process follows at once, or the link counts as lost and the core ends the process."""
        if not fault:
            with trio.move_on_after(self._around.settings.link_exit_ns / NS_PER_S):
                await self._gone.wait()
            fault = "its link ended and the process lives on"
        if not self._gone.is_set():
            self.record.say("warning", "the link to the runner is lost", reason=fault)
            self._post(events.LinkLost(runner=self.record.runner, message=fault))
            self.leases.lose_all()
            await self._gone.wait()

    def _close(self) -> None:
        """The one place where the closing event is posted; also when cancelled, for then the spawn's end killed it."""
        self.leases.lose_all(self._exit)
        if self._process is None:
            self._close_unborn()
            return
        end = self._exit or Exit(status=-signal.SIGKILL)
        self._tell_exit(end)
        self._post(events.ProcessExited(runner=self.record.runner, exit=end))

    def _close_unborn(self) -> None:
        reason = self._spawn_fault or "the service stops"
        self.record.say("error", "the runner could not be started", phase="spawn", reason=reason)
        message = "the runner process could not be started; the server's log says why"
        self._post(events.SpawnFailed(runner=self.record.runner, message=message))

    def _tell_exit(self, end: Exit) -> None:
        """A runner that was told to go and goes is no news; one that goes by itself is an error."""
        fields = {"phase": "exit", "exit": end.status, "was_out_of_memory": end.was_out_of_memory}
        self.record.status = "gone"
        if self._must_end or self._must_die:
            self.record.say("info", "runner ended", **fields)
        else:
            self.record.say("error", "runner ended by itself", **fields, stderr=plain_tail(end.stderr_tail))
