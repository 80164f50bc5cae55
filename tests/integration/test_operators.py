"""What operators see of a real service with real runners, over real HTTP."""

import os
import stat
import threading
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import httpx
import msgspec
import pytest
import trio

from service.config import Settings
from service.main import serve
from service.reactor import Probe, Reactor
from service.ready import Ready
from statemachines.effects import AnyEffect, SpawnRunner
from statemachines.events import AnyEvent, DevicesSampled
from statemachines.units import NS_PER_S
from tests.factory.scripted import scripted_model
from tests.integration.faults import harness
from tests.integration.faults.harness import HUNG_S, Faulted, faulted
from tests.integration.faults.models import ENDLESS_ANSWER, ENDLESS_CONTEXT_TOKENS
from tests.service.http.operators.following import following
from tests.service.metrics.reading import Reading

pytestmark = pytest.mark.engine


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Models that answer, and one that never stops."""
    folder = tmp_path_factory.mktemp("models")
    scripted_model(folder / "polite.gguf", harness.POLITE)
    scripted_model(folder / "kind.gguf", harness.KIND)
    scripted_model(folder / "endless.gguf", ENDLESS_ANSWER, context_tokens=ENDLESS_CONTEXT_TOKENS)
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


# What happened, and what the figures say of it


async def read(service: Faulted) -> Reading:
    """A scrape."""
    reply = await service.http.get("/metrics")
    assert reply.headers["Content-Type"] == "text/plain; version=0.0.4; charset=utf-8"
    return Reading(reply.content)


async def test_figures_are_what_was_really_done(settings: Settings) -> None:
    """An answer and a cancelled one; a refusal by the core, one by a runner, and a name that is no model."""
    config = msgspec.structs.replace(settings, limits=harness.limits(queue_len_max=1, runners_max=1))
    async with faulted(config) as service:
        whole = (await service.generate("polite")).json()
        endless = service.ask("endless", options=harness.ENDLESS)
        await endless.piece()
        during = await read(service)
        assert during.by("open_requests", "state") == {"leased": 1}
        assert during.by("runners", "state").get("ready") == 1
        assert (during("leases"), during("oldest_wait_seconds")) == (1, 0)

        waiting = service.ask("endless", options=harness.ENDLESS)
        await service.until(lambda view: len(view.requests) == 2)
        assert (await service.generate("endless", options=harness.ENDLESS)).status_code == 503
        assert (await read(service)).by("request_waits", "cause") == {"slot": 1}
        await waiting.leave()
        await endless.leave()
        await service.until(lambda view: not view.requests)

        too_long = await service.generate("polite", prompt="hello " * 5000, truncate=False, options={"num_ctx": 64})
        assert too_long.status_code == 400
        assert (await service.generate("nobody")).status_code == 404
        await service.until(lambda view: not view.requests)

        figures = await read(service)
        assert figures.by("requests_total", "outcome") == {"answered": 2, "left": 2, "refused": 1}
        assert figures("requests_total", model="polite:latest", outcome="answered") == 2
        assert figures.by("refusals_total", "code") == {"queue_full": 1, "prompt_too_long": 1}
        assert figures("output_tokens_total", model="polite:latest") == whole["eval_count"]
        assert figures("prompt_tokens_total", model="polite:latest") == whole["prompt_eval_count"]
        assert figures("output_tokens_total", model="endless:latest") > 0
        assert figures.by("time_to_first_token_seconds_count", "model") == {"polite:latest": 1, "endless:latest": 1}
        starts = len(service.effects(SpawnRunner))
        assert sum(figures.by("runner_starts_total", "model").values()) == starts
        assert sum(figures.by("load_seconds_count", "model").values()) == starts
        assert sum(figures.by("evictions_total", "cause").values()) == starts - 1
        assert figures("http_replies_total", route="/api/generate", status="404") == 1
        assert figures("http_replies_total", route="/api/generate", status="503") == 1
        assert figures("illegal_events_total") == 0
        state = (await service.http.get("/debug/state")).json()
        assert figures("device_used_bytes", device="host") == state["devices"][0]["used_bytes"]


async def test_a_follower_sees_a_load_step_by_step_and_can_resume(settings: Settings) -> None:
    async with faulted(settings) as service:
        address = f"{service.ready.host}:{service.ready.port}"
        async with following(address, "&limit=0&model=polite:latest") as client:
            gate = service.gates.hold("polite")
            asked = service.ask("polite")
            await gate.arrived()
            arrival = await client.frame()
            assert arrival["data"]["event"]["event"] == "RequestArrived"
            assert "SpawnRunner" in [effect["effect"] for effect in arrival["data"]["effects"]]
        gate.open()
        await asked.end()
        await service.until(lambda view: not view.requests)
        kinds = []
        async with following(address, "&model=polite:latest", Last_Event_ID=arrival["id"]) as client:
            while "RequestFinished" not in kinds:
                kinds.append((await client.frame())["data"]["event"]["event"])
        milestones = [kind for kind in kinds if kind in ("RequestArrived", "ModelLoaded", "LeaseEnded")]
        assert milestones == ["ModelLoaded", "LeaseEnded"]


async def test_the_diagram_and_the_tasks_show_the_runner_that_there_is(settings: Settings) -> None:
    async with faulted(settings) as service:
        await service.generate("polite")
        (runner,) = service.state().runners
        drawn = (await service.http.get("/debug/machines")).text
        assert f"    note right of runner_ready\n        runner {runner.runner} polite:latest" in drawn
        tree = (await service.http.get("/debug/tasks")).text
        assert f'"name":"runner {runner.runner}"' in tree
        assert "service.reactor.Reactor.run:" in tree
        assert str(settings.state) not in tree
        assert "polite" not in tree


# Where they look


async def ask_socket(path: Path, target: str) -> httpx.Response:
    """As curl does with --unix-socket."""
    transport = httpx.AsyncHTTPTransport(uds=str(path))
    async with httpx.AsyncClient(transport=transport, timeout=HUNG_S) as http:
        return await http.get(f"http://localhost{target}")


async def test_where_others_reach_the_service_operators_have_a_socket_until_its_very_end(settings: Settings) -> None:
    remote = msgspec.structs.replace(settings, host="0.0.0.0", allow_remote=True)
    path = settings.state / "admin.sock"
    async with faulted(remote) as service:
        assert service.ready.admin == f"unix:{path}"
        assert stat.S_IMODE(os.stat(path).st_mode) == 0o600
        assert Reading((await ask_socket(path, "/metrics")).content).by("service_state", "state") == {"open": 1}
        assert (await service.http.get("/metrics")).status_code == 404
        assert (await service.http.get("/debug/state")).status_code == 404
        assert (await service.http.get("/health")).status_code == 200

        endless = service.ask("endless", options=harness.ENDLESS)
        await endless.piece()
        service.stop.set()
        await service.until(lambda view: view.service == "draining")
        fit = await ask_socket(path, "/health")
        assert (fit.status_code, int(fit.headers["Retry-After"]) > 0) == (503, True)
        assert "shutting down" in fit.json()["error"]
        state = (await ask_socket(path, "/debug/state")).json()
        assert [one["stage"] for one in state["runners"]] == ["draining"]
        await endless.leave()
    assert "admin.sock" not in os.listdir(settings.state)


async def test_a_second_server_on_the_same_folder_takes_no_socket_of_the_first(settings: Settings) -> None:
    remote = msgspec.structs.replace(settings, host="0.0.0.0", allow_remote=True)
    path = settings.state / "admin.sock"
    async with faulted(remote):
        async with trio.open_nursery() as nursery:
            stop = trio.Event()
            quiet = msgspec.structs.replace(remote, log_level="error", spare=False)
            second: Ready = await nursery.start(partial(serve, quiet, stop=stop, takes_signals=False))
            assert second.admin == "nowhere"
            stop.set()
        assert (await ask_socket(path, "/health")).status_code == 200


async def test_followers_do_not_hold_up_the_end_of_the_service(settings: Settings) -> None:
    async with faulted(settings) as service:
        async with following(f"{service.ready.host}:{service.ready.port}", "&limit=1") as client:
            last = await client.frame()
            service.stop.set()
            while frame := await client.frame():
                last = frame
        assert last["data"]["effects"][-1]["effect"] == "FinishShutdown"
