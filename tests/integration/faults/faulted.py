"""A service under test: its clients, its time, what it says, and what must hold of it at the end."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Any, Protocol, TypeVar

import httpx
import trio

from service.life import Service
from service.ready import Ready
from statemachines.events import DevicesSampled
from statemachines.snapshot import RunnerView, StateView
from statemachines.states import RunnerState
from statemachines.units import LoadId, RunnerId
from tests.integration.faults.clients import Asked
from tests.integration.faults.gates import Gates
from tests.integration.faults.models import POLITE
from tests.integration.faults.watching import JumpingClock, WatchedJournal, WatchedLines


class OfRunner(Protocol):
    """An effect or an event that concerns a runner."""

    @property
    def runner(self) -> RunnerId | None: ...


Found = TypeVar("Found")
Kind = TypeVar("Kind")
RunnerKind = TypeVar("RunnerKind", bound=OfRunner)


@dataclass
class Faulted:
    """A service under test.

    Attributes:
        lines: its log, down to debug.
        status: its exit status, once it has ended.
    """

    service: Service
    journal: WatchedJournal
    clock: JumpingClock
    lines: WatchedLines
    gates: Gates
    nursery: trio.Nursery
    stop: trio.Event = field(default_factory=trio.Event)
    status: int | None = None
    ready: Ready = field(init=False)
    http: httpx.AsyncClient = field(init=False)

    # Clients

    def ask(self, model: str, path: str = "/api/generate", **fields: Any) -> Asked:
        """A client that asks in the background; streamed, as the API does by default."""
        asked = Asked()
        self.nursery.start_soon(asked.ask, self.http, path, {"model": model, "prompt": "hi", **fields})
        return asked

    async def generate(self, model: str, **fields: Any) -> httpx.Response:
        """A client that waits for the whole answer."""
        body = {"model": model, "prompt": "hi", "stream": False, **fields}
        return await self.http.post("/api/generate", json=body)

    def force_stop(self, model: str) -> None:
        """What an operator does who wants a model gone within the drain limit."""
        desk = self.service.parts.desk
        desk.stop(desk.store.find(model), force=True)

    # Time

    async def expire(self, name: str, *, runner: RunnerId | None = None, load: LoadId | None = None) -> None:
        """Let a deadline of a runner or a load come, and return when it has; what is due before it comes as well.

        Moved on the way (a late loop gives back the time that it lost), it is followed.
        """
        while (due := _due(self.state(), name, runner, load)) is not None:
            self.jump(due - self.clock.now_ns())
            await self.journal.stepped()

    def jump(self, ns: int) -> None:
        """Put the core's clock forward; real processes notice nothing."""
        if ns > 0:
            self.clock.jump(ns)
            self.service.parts.reactor.post(DevicesSampled(samples=()))  # wakes the reactor, tells nothing

    # What the core says

    def state(self) -> StateView:
        return self.service.parts.desk.snapshot()

    async def until(self, holds: Callable[[StateView], Found | None]) -> Found:
        """Wait until something holds of the core's state; what ``holds`` returned then."""
        while not (found := holds(self.state())):
            await self.journal.stepped()
        return found

    async def runner(self, state: RunnerState, *, model: str | None = None) -> RunnerView:
        """Wait for the one runner in this state."""
        return await self.until(lambda view: _only(one for one in view.runners if _is(one, state, model)))

    async def dead(self, runner: RunnerId) -> RunnerView:
        """Wait until the core has buried this runner."""
        return await self.until(lambda view: _only(one for one in view.dead if one.runner == runner))

    def effects(self, kind: type[Kind]) -> list[Kind]:
        """What the core ordered, oldest first."""
        return [one for entry in self.journal.steps() for one in entry.effects if isinstance(one, kind)]

    def events(self, kind: type[Kind]) -> list[Kind]:
        """What the core was told, oldest first."""
        return [entry.event for entry in self.journal.steps() if isinstance(entry.event, kind)]

    async def effect(self, kind: type[RunnerKind], runner: RunnerId) -> RunnerKind:
        """Wait until the core has ordered something about a runner."""
        return await self.until(lambda _view: _first(one for one in self.effects(kind) if one.runner == runner))

    async def event(self, kind: type[RunnerKind], runner: RunnerId) -> RunnerKind:
        """Wait until the core has been told something about a runner."""
        return await self.until(lambda _view: _first(one for one in self.events(kind) if one.runner == runner))

    # What the log and the system say

    def rows(self, event: str, **fields: Any) -> list[dict[str, Any]]:
        """Log lines of one kind, those with these fields."""
        return [row for row in self.lines.rows(event) if fields.items() <= row.items()]

    async def said(self, event: str, **fields: Any) -> dict[str, Any]:
        """Wait for a log line of this kind; the first one."""
        while not (rows := self.rows(event, **fields)):
            await self.lines.told()
        return rows[0]

    def errors(self) -> list[dict[str, Any]]:
        """What an operator would have to act on."""
        return [row for row in self.lines.rows() if row["level"] == "error"]

    def told(self, runner: RunnerId) -> list[dict[str, Any]]:
        """Every log line about a runner; each says who it is (B06)."""
        rows = [row for row in self.lines.rows() if row.get("runner") == runner]
        for row in rows:
            assert {"pid", "model", "state", "status", "elapsed_ms"} <= row.keys(), row
        return rows

    def pid(self, runner: RunnerId) -> int:
        """The process of a runner, alive or gone, as the log named it."""
        (row,) = self.rows("runner started", runner=runner)
        return int(row["pid"])

    # The end

    async def check_sound(self) -> None:
        """Whatever happened: nobody waits, the books are balanced, and the next request is answered."""
        await self.until(lambda view: not view.requests and not view.loads)
        reply = await self.generate("polite")
        assert (reply.status_code, reply.json().get("response")) == (200, POLITE), reply.text
        await self.until(lambda view: not view.requests)
        check_books(self.state())


def check_books(view: StateView) -> None:
    """What the devices say is held is what the runners hold."""
    (device,) = view.devices
    held = {runner.runner: runner.mapped_bytes + runner.own_bytes for runner in view.runners}
    loading = {runner.runner for runner in view.runners if runner.loaded is None}
    assert device.reserved_bytes == sum(held[runner] for runner in loading)
    assert device.used_bytes == sum(size for runner, size in held.items() if runner not in loading)
    assert device.returning_bytes == 0
    assert "illegal" not in view.counters


def _due(view: StateView, name: str, runner: RunnerId | None, load: LoadId | None) -> int | None:
    owners = [one for one in view.runners if one.runner == runner] + [one for one in view.loads if one.load == load]
    return _first(deadline.due for owner in owners for deadline in owner.deadlines if deadline.name == name)


def _is(runner: RunnerView, state: RunnerState, model: str | None) -> bool:
    return runner.state is state and (model is None or runner.model == f"{model}:latest")


def _only(found: Iterable[Found]) -> Found | None:
    rows = list(found)
    assert len(rows) < 2, rows
    return rows[0] if rows else None


def _first(found: Iterable[Found]) -> Found | None:
    return next(iter(found), None)
