"""2,000 requests of mixed lengths, a tenth cancelled, a twentieth bad, hold no more memory than 500 of them did.

Method as in `test_loads`: a service of its own, at rest when the figures are taken, with a journal of 500 steps. Before
the 500 some large ones, from twice as many clients, drive the allocators to a peak that the mixed ones do not reach:
what is allocated at once varies by chance, and most of what is freed stays with the process. Mixed ones then fill the
gaps that these have left. Neither are counted. Of the proportional set size the part that belongs to the two processes
is compared, see `Memory.resident_bytes`.
"""

import random
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.factory.scripted import scripted_model
from tests.integration.faults.harness import HUNG_S
from tests.integration.faults.models import ENDLESS_ANSWER
from tests.integration.faults.separate import Separate, separate
from tests.integration.soak.figures import GIVES_BACK, Memory, figures_of, memory_of

CLIENTS, WARM_CLIENTS = 4, 8
WARM_REQUESTS, MIXED_REQUESTS = 240, 500
"""Before anything is compared."""
CONTEXT_TOKENS = 2048
PROMPT_TOKENS = (1, 20, 200, 1500)
ANSWER_TOKENS = (1, 8, 40, 120)
ENDLESS_TOKENS = 1500
CANCELLED, BAD = 0.10, 0.05
GROWTH_MAX = 0.01
One = Callable[[httpx.Client, random.Random], None]
"""Makes one request, and checks what became of it."""
BODIES = (b"{", b"[]", b'{"model":1}', b'{"model":"nobody"}', b'{"model":"endless","options":{"num_ctx":"x"}}')


@pytest.fixture
def service(tmp_path: Path) -> Iterator[Separate]:
    folder = tmp_path / "models"
    folder.mkdir()
    scripted_model(folder / "endless.gguf", ENDLESS_ANSWER, context_tokens=CONTEXT_TOKENS)
    settings: dict[str, Any] = {"journal_steps_max": 500, "context_length": CONTEXT_TOKENS}
    with separate(folder, tmp_path, environment=GIVES_BACK, **settings) as service:
        yield service
        assert service.end() == 0


def test_2000_requests_hold_no_more_memory_than_500(service: Separate) -> None:
    warm_up(service)
    ask(service, 500)
    before = at_rest(service)
    ask(service, 1500)
    after = at_rest(service)

    growth = (after.resident_bytes - before.resident_bytes) / before.pss_bytes
    print(f"resident: {before.shown()}, then {after.shown()}; growth {growth:+.2%} of the PSS")
    assert growth <= GROWTH_MAX


def at_rest(service: Separate) -> Memory:
    """The service and its one runner, when nobody asks for anything."""
    service.until_state(lambda state: not state["requests"])
    (runner,) = service.children()
    return figures_of(service).memory + memory_of(runner.pid)


def warm_up(service: Separate) -> None:
    """The largest requests that there will be, from more clients than later; then such as will come."""
    make(service, WARM_CLIENTS, [_large_one] * WARM_REQUESTS)
    ask(service, MIXED_REQUESTS)


def ask(service: Separate, count: int) -> None:
    """So many requests, exactly so many of them cancelled and bad, in an order that chance decides."""
    cancelled, bad = round(count * CANCELLED), round(count * BAD)
    kinds = [_cancelled_one] * cancelled + [_bad_one] * bad + [_answered_one] * (count - cancelled - bad)
    random.shuffle(kinds)
    make(service, CLIENTS, kinds)


def make(service: Separate, clients: int, kinds: Sequence[One]) -> None:
    """One of each kind, dealt out to so many clients."""

    def client(number: int) -> None:
        chance = random.Random(seeds[number])
        with httpx.Client(base_url=service.address, timeout=HUNG_S) as http:
            for one in kinds[number::clients]:
                one(http, chance)

    seeds = [random.getrandbits(32) for _ in range(clients)]
    with ThreadPoolExecutor(clients) as pool:
        list(pool.map(client, range(clients)))


def _large_one(http: httpx.Client, chance: random.Random) -> None:
    path, body = _question(chance, max(PROMPT_TOKENS), max(ANSWER_TOKENS), stream=chance.random() < 0.5)
    assert http.post(path, json=body).status_code == 200


def _bad_one(http: httpx.Client, chance: random.Random) -> None:
    assert 400 <= http.post("/api/generate", content=chance.choice(BODIES)).status_code < 500


def _cancelled_one(http: httpx.Client, chance: random.Random) -> None:
    path, body = _question(chance, chance.choice(PROMPT_TOKENS), ENDLESS_TOKENS, stream=True)
    with http.stream("POST", path, json=body) as reply:
        next(reply.iter_lines())


def _answered_one(http: httpx.Client, chance: random.Random) -> None:
    sizes = chance.choice(PROMPT_TOKENS), chance.choice(ANSWER_TOKENS)
    path, body = _question(chance, *sizes, stream=chance.random() < 0.5)
    assert http.post(path, json=body).status_code == 200


def _question(
    chance: random.Random, prompt_tokens: int, answer_tokens: int, *, stream: bool
) -> tuple[str, dict[str, Any]]:
    prompt = "x" * prompt_tokens
    turns = [{"role": "user", "content": prompt}]
    body = {"model": "endless", "stream": stream}
    return chance.choice(
        [
            ("/api/generate", body | {"prompt": prompt, "options": {"num_predict": answer_tokens}}),
            ("/api/chat", body | {"messages": turns, "options": {"num_predict": answer_tokens}}),
            ("/v1/chat/completions", body | {"messages": turns, "max_tokens": answer_tokens}),
        ]
    )
