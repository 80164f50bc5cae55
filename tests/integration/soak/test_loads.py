"""200 loads and unloads over three models, a crash in ten: the service holds what it held before.

Method. The service is a process of its own, so that nothing of the test is in its figures. They are taken when nothing
is under way and no client is connected, after a warm-up that fills what is bounded: the journal and the list of ended
runners (their settings make them short: 500 steps, 10 runners), the cache of facts, the heap of passed deadlines that
trio keeps (about a thousand), the pools of the allocators. What no warm-up settles is how these pools get fragmented;
that is what the margin is for.
"""

import os
import signal
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import httpx
import pytest

from statemachines.units import MIB
from tests.factory.scripted import scripted_model
from tests.integration.faults.harness import HUNG_S, KIND, POLITE, limits
from tests.integration.faults.separate import Separate, separate
from tests.integration.soak.figures import GIVES_BACK, Figures, figures_of

ANSWERS = {"polite": POLITE, "kind": KIND, "third": "The third one speaks."}
ROUNDS = 67
"""Loads of each of the three models: 201."""
WARM_ROUNDS, WARM_REQUESTS = 14, 200
"""The same before the first figures, and requests of each model while it is loaded."""
CRASH_EVERY = 10
GROWTH_BYTES_MAX = 2 * MIB


@pytest.fixture
def service(tmp_path: Path) -> Iterator[Separate]:
    folder = tmp_path / "models"
    folder.mkdir()
    for name, answer in ANSWERS.items():
        scripted_model(folder / f"{name}.gguf", answer)
    settings: dict[str, Any] = {"limits": limits(dead_kept=10), "journal_steps_max": 500, "spare": True}
    with separate(folder, tmp_path, environment=GIVES_BACK, **settings) as service:
        yield service
        assert service.end() == 0


def test_200_loads_and_unloads_with_a_crash_in_ten_leave_what_was_there(service: Separate) -> None:
    side_by_side(service, WARM_ROUNDS, WARM_REQUESTS)
    before = at_rest(service)
    crashes = side_by_side(service, ROUNDS)
    after = at_rest(service)

    print(f"resident: {before.memory.shown()}, then {after.memory.shown()}")
    assert crashes >= len(ANSWERS) * ROUNDS // CRASH_EVERY
    assert (after.children, after.descriptors) == (before.children, before.descriptors)
    assert after.children == 1, "the spare"
    assert len(after.sockets) == len(before.sockets)
    assert len(after.sockets - before.sockets) <= 1, "the link to the spare is another one than then"
    assert after.memory.resident_bytes <= before.memory.resident_bytes + GROWTH_BYTES_MAX


def at_rest(service: Separate) -> Figures:
    service.until_state(lambda state: not state["runners"] and state["spare"]["state"] == "warm")
    return figures_of(service)


def side_by_side(service: Separate, rounds: int, requests: int = 0) -> int:
    """Load and unload each model so often, the models at the same time; how many runners were killed."""
    with ThreadPoolExecutor(len(ANSWERS)) as lanes:
        return sum(lanes.map(lambda model: _use(service, model, rounds, requests), ANSWERS))


def _use(service: Separate, model: str, rounds: int, requests: int) -> int:
    with httpx.Client(base_url=service.address, timeout=HUNG_S) as http:
        for _ in range(requests):
            _ask(http, model, keep_alive=-1)
        return sum(_load_once(service, http, model, is_crash=number % CRASH_EVERY == 0) for number in range(rounds))


def _load_once(service: Separate, http: httpx.Client, model: str, *, is_crash: bool) -> bool:
    """By a request that wants the model unloaded afterwards; or it stays, and its runner is killed."""
    _ask(http, model, keep_alive=-1 if is_crash else 0)
    if is_crash:
        (runner,) = _runners(http, model)
        os.kill(service.pid(runner), signal.SIGKILL)
    while _runners(http, model):
        pass
    return is_crash


def _ask(http: httpx.Client, model: str, *, keep_alive: int) -> None:
    question: dict[str, Any] = {"model": model, "prompt": "hi", "stream": False, "options": {"num_ctx": 512}}
    reply = http.post("/api/generate", json=question | {"keep_alive": keep_alive})
    assert (reply.status_code, reply.json().get("response")) == (200, ANSWERS[model])


def _runners(http: httpx.Client, model: str) -> list[int]:
    state = http.get("/debug/state").json()
    return [runner["runner"] for runner in state["runners"] if runner["model"] == f"{model}:latest"]
