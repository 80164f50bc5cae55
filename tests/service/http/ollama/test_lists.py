"""/api/tags, /api/ps and /api/show: what there is, what is loaded, what a file says."""

from typing import Any

import msgspec
import pytest

from service.http.ollama.details import human_number
from statemachines.errors import Refusal, RefusalCode, RequestRefused
from statemachines.facts import LoadedFacts, LoadKey
from statemachines.snapshot import RunnerView
from statemachines.units import FOREVER_NS, NS_PER_S, LoadId, RunnerId
from tests.fakes.front import NOTHING_LOADED, WALL_AT_ZERO_NS, FakeFront, FakeStore, facts, model
from tests.service.http.calling import Caller

DETAILS = {
    "parent_model": "",
    "format": "gguf",
    "family": "llama",
    "families": ["llama"],
    "parameter_size": "500.50M",
    "quantization_level": "Q4_0",
}


@pytest.fixture(autouse=True)
def utc(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("service.http.ollama.tags.rfc3339_local", str)
    monkeypatch.setattr("service.http.ollama.ps.rfc3339_local", str)
    monkeypatch.setattr("service.http.ollama.show.rfc3339_local", str)


def runner(number: int, **changes: Any) -> RunnerView:
    view = RunnerView(
        runner=RunnerId(number),
        model="demo:latest",
        key=LoadKey("file:demo:latest"),
        load=LoadId(number),
        state="READY",
        stage="",
        loaded=LoadedFacts(context_tokens=1024, slots=1),
        context_tokens=4096,
        fence=None,
        leases=(),
        waiters=(),
        keep_alive_ns=300 * NS_PER_S,
        expires_at=None,
        deadlines=(),
        progress_ppm=0,
        threads=1,
        mapped_bytes=1000,
        own_bytes=500,
        born_at=0,
    )
    return msgspec.structs.replace(view, **changes)


async def test_no_models_are_an_empty_list() -> None:
    call = Caller(FakeFront(store=FakeStore({})))
    for path, content_type in (
        ("/api/tags", "application/json; charset=utf-8"),
        ("/api/ps", "application/json; charset=utf-8"),
    ):
        reply = await call.get(path)
        assert (reply.body, reply.content_type) == (b'{"models":[]}', content_type)


async def test_tags_describe_each_model(call: Caller) -> None:
    reply = await call.get("/api/tags")
    assert reply.json["models"] == [
        {
            "name": "demo:latest",
            "model": "demo:latest",
            "modified_at": str(WALL_AT_ZERO_NS + 123_456_789),
            "size": 1_500_000,
            "digest": "ab" * 32,
            "details": {**DETAILS, "context_length": 2048, "embedding_length": 64},
            "capabilities": ["completion"],
        }
    ]
    assert b"expires_at" not in reply.body


async def test_tags_keep_the_order_of_the_store() -> None:
    names = [f"m{number}:latest" for number in range(9)]
    call = Caller(FakeFront(store=FakeStore({model(name): facts() for name in names})))
    assert [entry["name"] for entry in (await call.get("/api/tags")).json["models"]] == names
    assert [entry["id"] for entry in (await call.get("/v1/models")).json["data"]] == names


async def test_a_file_that_cannot_be_read_does_not_hide_the_others() -> None:
    broken = RequestRefused(Refusal(RefusalCode.INVALID, "no model"))
    call = Caller(FakeFront(store=FakeStore({model("bad:latest", digest=None): broken, model(): facts()})))
    bad, good = (await call.get("/api/tags")).json["models"]
    assert (bad["name"], bad["digest"], "capabilities" in bad) == ("bad:latest", "", False)
    assert bad["details"] == {
        **DETAILS,
        "family": "",
        "families": None,
        "parameter_size": "",
        "quantization_level": "unknown",
    }
    assert good["capabilities"] == ["completion"]


async def test_ps_shows_what_a_runner_really_holds(front: FakeFront, call: Caller) -> None:
    expires_at = 60 * NS_PER_S
    front.view = msgspec.structs.replace(NOTHING_LOADED, at=NS_PER_S, runners=(runner(1, expires_at=expires_at),))
    reply = await call.get("/api/ps")
    assert reply.json["models"] == [
        {
            "name": "demo:latest",
            "model": "demo:latest",
            "size": 1500,
            "digest": "ab" * 32,
            "details": DETAILS,
            "expires_at": str(WALL_AT_ZERO_NS + expires_at),
            "size_vram": 0,
            "context_length": 1024,
        }
    ]


async def test_ps_says_when_each_runner_leaves_and_sorts_by_it(front: FakeFront, call: Caller) -> None:
    leaving = runner(1, state="UNLOADING")
    loading = runner(2, state="LOADING", loaded=None, model="gone:latest")
    forever = runner(3, keep_alive_ns=FOREVER_NS)
    front.view = msgspec.structs.replace(NOTHING_LOADED, at=NS_PER_S, runners=(leaving, loading, forever))
    entries = (await call.get("/api/ps")).json["models"]
    now_ns = WALL_AT_ZERO_NS + NS_PER_S
    assert [int(entry["expires_at"]) - now_ns for entry in entries] == [FOREVER_NS, 300 * NS_PER_S, 0]
    assert [entry["context_length"] for entry in entries] == [1024, 4096, 1024]
    gone = entries[1]
    assert (gone["name"], gone["digest"], gone["details"]["family"]) == ("gone:latest", "", "")


async def test_show_says_what_the_file_says(call: Caller) -> None:
    reply = await call.post("/api/show", {"model": "demo"})
    assert reply.content_type == "application/json; charset=utf-8"
    assert reply.json == {
        "modelfile": '# Modelfile generated by "ollama show"\n'
        "# To build a new Modelfile based on this, replace FROM with:\n"
        "# FROM demo:latest\n\nFROM demo:latest",
        "template": "{{ messages }}",
        "details": DETAILS,
        "model_info": {
            "general.architecture": "llama",
            "tokenizer.ggml.tokens": None,
            "general.parameter_count": 500_500_000,
        },
        "tensors": [{"name": "token_embd.weight", "type": "F32", "shape": [64, 256]}],
        "capabilities": ["completion"],
        "modified_at": str(WALL_AT_ZERO_NS + 123_456_789),
    }
    assert b"/nowhere" not in reply.body


async def test_show_lays_the_requests_options_and_system_over_it(call: Caller) -> None:
    options = {"seed": 42, "stop": ["foo", "bar"], "top_p": 0.9, "top_k": None}
    reply = await call.post("/api/show", {"name": "demo", "options": options, "system": "be brief"})
    assert reply.json["parameters"].splitlines() == [
        "seed                           42",
        'stop                           "foo"',
        'stop                           "bar"',
        "top_p                          0.9",
    ]
    assert reply.json["system"] == "be brief"
    tail = reply.json["modelfile"].splitlines()[-5:]
    assert tail == [
        'SYSTEM """be brief"""',
        "PARAMETER seed 42",
        'PARAMETER stop "foo"',
        'PARAMETER stop "bar"',
        "PARAMETER top_p 0.9",
    ]


@pytest.mark.parametrize("verbose", [True, False])
async def test_arrays_are_read_only_for_verbose(call: Caller, verbose: bool) -> None:
    await call.post("/api/show", {"model": "demo", "verbose": verbose})
    assert call.front.store.with_arrays_asked is verbose


async def test_show_leaves_out_a_template_that_is_not_there() -> None:
    call = Caller(FakeFront(store=FakeStore({model(): facts(chat_template=None)})))
    assert "template" not in (await call.post("/api/show", {"model": "demo"})).json


async def test_one_editor_finds_the_name_it_asked_for(call: Caller) -> None:
    reply = await call.post("/api/show", {"model": "Demo"}, User_Agent="GitHubCopilotChat/0.29")
    assert reply.json["model_info"]["general.basename"] == "Demo"


@pytest.mark.parametrize(
    ("name", "status", "error"),
    [
        ("", 400, "model is required"),
        ("nope", 404, "model 'nope:latest' not found"),
        ("library/nope", 404, "model 'nope:latest' not found"),
        ("me/nope:7b", 404, "model 'me/nope:7b' not found"),
        ("a b", 400, "invalid model name"),
    ],
)
async def test_a_model_that_is_not_there(call: Caller, name: str, status: int, error: str) -> None:
    reply = await call.post("/api/show", {"model": name})
    assert (reply.status, reply.json) == (status, {"error": error})


@pytest.mark.parametrize(
    ("count", "expected"),
    [
        (0, "0"),
        (999, "999"),
        (1_000, "1K"),
        (134_515, "135K"),
        (1_000_000, "1M"),
        (500_500_000, "500.50M"),
        (7_000_000_000, "7B"),
        (2_850_000_000, "2.9B"),
        (1_000_000_000_000, "1T"),
    ],
)
def test_counts_are_short(count: int, expected: str) -> None:
    assert human_number(count) == expected
