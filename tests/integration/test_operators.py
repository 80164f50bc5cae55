"""What operators see of a real service with real runners, over real HTTP."""

import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
import trio

from service.config import Settings
from service.reactor import Probe, Reactor
from statemachines.effects import AnyEffect
from statemachines.events import AnyEvent, DevicesSampled
from statemachines.units import NS_PER_S
from tests.factory.scripted import Answer, scripted_model
from tests.integration.faults import harness
from tests.integration.faults.harness import HUNG_S, Faulted, faulted
from tests.integration.faults.models import ENDLESS_CONTEXT_TOKENS

pytestmark = pytest.mark.engine


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Models that answer, and one that never stops."""
    folder = tmp_path_factory.mktemp("models")
    scripted_model(folder / "polite.gguf", harness.POLITE)
    scripted_model(folder / "kind.gguf", harness.KIND)
    endless = Answer((b"and so on and on " * 30,), endless=True)
    scripted_model(folder / "endless.gguf", endless, context_tokens=ENDLESS_CONTEXT_TOKENS)
    return folder


@pytest.fixture
def settings(models: Path, tmp_path: Path) -> Settings:
    return Settings(models=models, state=tmp_path / "state", port=0, strict=True, limits=harness.limits())


BLOCKING = DevicesSampled(samples=())
"""An event that tells nothing, and that nobody else posts here."""


class BlockingJournal:
    """Blocks the reactor, and with it the whole loop, in the step of `BLOCKING`, until it is let go."""

    def __init__(self, service: Faulted, late_ns: int) -> None:
        self._service = service
        self._late_ns = late_ns
        self._write = service.journal.write
        self._blocked, self._released = threading.Event(), threading.Event()
        self.was_blocked = False

    def write(self, event: AnyEvent, effects: tuple[AnyEffect, ...]) -> None:
        self._write(event, effects)
        if isinstance(event, DevicesSampled) and event.samples == BLOCKING.samples:
            self._blocked.set()
            self.was_blocked = self._released.wait(HUNG_S)

    def release(self) -> None:
        """In a thread of its own: once the loop stands still, time passes, and it goes on."""
        assert self._blocked.wait(HUNG_S)
        self._service.clock.jump(self._late_ns)
        self._service.journal.write = self._write  # type: ignore[method-assign]  # as it was
        self._released.set()


@pytest.fixture
def before_probes(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[AnyEvent]]:
    """Events that the next probe finds before it."""
    events: list[AnyEvent] = []
    ask = Reactor.ask

    def ask_behind(reactor: Reactor) -> Probe:
        while events:
            reactor.post(events.pop())
        return ask(reactor)

    monkeypatch.setattr(Reactor, "ask", ask_behind)
    yield events
    assert not events


async def test_health_is_503_when_the_reactor_was_really_blocked_and_200_when_it_goes_on(
    settings: Settings, before_probes: list[AnyEvent]
) -> None:
    async with faulted(settings) as service:
        assert (await service.http.get("/health")).status_code == 200
        block = BlockingJournal(service, late_ns=2 * NS_PER_S)
        service.journal.write = block.write  # type: ignore[method-assign]  # a disk that hangs
        before_probes.append(BLOCKING)
        async with trio.open_nursery() as nursery:
            nursery.start_soon(trio.to_thread.run_sync, block.release)
            reply = await service.http.get("/health")
        assert block.was_blocked
        assert (reply.status_code, reply.headers["Retry-After"]) == (503, "1")
        assert "has not answered within 1 s" in reply.json()["error"]
        assert (await service.http.get("/health")).json() == {"status": "ok"}
