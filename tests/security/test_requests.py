"""What of a request may reach a runner: what is on a list, within its range."""

from typing import Any

import msgspec
import pytest

from service.http.options import BOOLEANS, FLOAT_RANGES, INTEGER_RANGES
from statemachines.units import FOREVER_NS, NS_PER_S
from statemachines.wire.messages import Generate, Sampling
from tests.bad_input.options import wrong_options
from tests.bad_input.rows import GOOD
from tests.fakes.front import FakeFront
from tests.service.http.calling import Caller
from tests.statemachines.bench import Bench

NUMBERS_OF_A_LEASE = {"num_predict": INTEGER_RANGES, "num_keep": INTEGER_RANGES}
"""Numbers of `Generate` itself, and where their ranges are."""
NO_NUMBERS = {"lease", "prompt", "sampling", "stop", "context", "with_context"}
"""Its other fields: ids, texts, and token ids, which have their range in the request's struct."""


def test_cve_2026_21869_every_number_that_reaches_a_runner_has_a_range() -> None:
    ranged = INTEGER_RANGES.keys() | FLOAT_RANGES.keys()
    assert set(Sampling.__struct_fields__) <= ranged
    assert set(Generate.__struct_fields__) - NO_NUMBERS == NUMBERS_OF_A_LEASE.keys()
    assert all(low < high for low, high in [*INTEGER_RANGES.values(), *FLOAT_RANGES.values()])


def test_cve_2026_21869_each_range_is_checked_at_both_ends_and_named() -> None:
    """The rows themselves are sent by the tests of bad input."""
    refused = {name for name, _, status, message in wrong_options() if status == 400 and "must be between" in message}
    assert refused == INTEGER_RANGES.keys() | FLOAT_RANGES.keys()


PICTURE = {"type": "image_url", "image_url": {"url": "http://169.254.169.254/latest/meta-data"}}


async def orders_of(options: dict[str, Any]) -> list[Generate]:
    call = Caller(FakeFront())
    assert (await call.post("/api/generate", {**GOOD["/api/generate"], "options": options})).status == 200
    return call.front.generated


async def test_cve_2026_21869_an_option_that_is_on_no_list_does_not_reach_a_runner() -> None:
    known = INTEGER_RANGES.keys() | FLOAT_RANGES.keys() | {*BOOLEANS, "stop"}
    strangers = {
        "n_discard": -5,
        "n_keep": -1,
        "cache_prompt": True,
        "id_slot": -1,
        "grammar": "root ::= x",
        "lora": [],
    }
    assert not known & strangers.keys()
    assert await orders_of(strangers) == await orders_of({})


@pytest.mark.parametrize(
    ("path", "further"),
    [
        ("/api/generate", {"images": ["A" * 1_000_000]}),
        ("/api/chat", {"messages": [{"role": "user", "content": "x", "images": ["A" * 1_000_000]}]}),
        ("/v1/chat/completions", {"messages": [{"role": "user", "content": [PICTURE]}]}),
    ],
)
async def test_cve_2026_22773_a_picture_is_refused_unread_and_never_fetched(
    front: FakeFront, call: Caller, path: str, further: dict[str, Any]
) -> None:
    assert (await call.post(path, {**GOOD[path], **further})).status == 501
    assert front.leased == []


async def test_cve_2025_62164_embeddings_and_tensors_are_no_input(front: FakeFront, call: Caller) -> None:
    blob = {"prompt_embeds": "gAJjc3lzdGVtCmlkCnEAKHRxAVJxAi4=", "lora_path": "/tmp/x", "mm_processor_kwargs": {}}
    for path, good in GOOD.items():
        assert (await call.post(path, {**good, **blob})).status == 200, "unknown, and so ignored"
    assert not [orders for orders in front.generated if b"gAJj" in msgspec.json.encode(orders)]


@pytest.mark.parametrize("asked_ns", [FOREVER_NS, 3600 * NS_PER_S, 61 * NS_PER_S])
def test_ollama_10263_a_client_holds_no_model_for_longer_than_the_operator_allows(asked_ns: int) -> None:
    bench = Bench(keep_alive_max_ns=60 * NS_PER_S)
    request = bench.ask("a", keep_alive_ns=asked_ns)
    runner = bench.last_spawn().runner
    bench.load(runner)
    bench.answer(request)
    assert bench.runner(runner).keep_alive_ns == 60 * NS_PER_S
