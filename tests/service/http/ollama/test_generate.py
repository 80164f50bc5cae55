"""POST /api/generate: its order of checks, its answers, its bytes."""

from typing import Any

import pytest

from statemachines.errors import Refusal, RefusalCode, RequestRefused, RunnerFailed
from statemachines.units import FOREVER_NS, NS_PER_S
from statemachines.wire.messages import ChatMessage, ChatPrompt, EndReason, LeaseEnded, Sampling, TextPrompt
from tests.fakes.front import ENDED, FakeFront, FakeStore, Script, facts, model
from tests.service.http.calling import NOW, Caller

METRICS = {
    "total_duration": 1_000_000,
    "load_duration": 4_000_000,
    "prompt_eval_count": 7,
    "prompt_eval_duration": 5_000_000,
    "eval_count": 3,
    "eval_duration": 9_000_000,
}
ASK = {"model": "demo", "prompt": "hi"}


async def test_a_stream_is_a_line_a_piece_and_a_last_line_with_the_figures(call: Caller) -> None:
    reply = await call.post("/api/generate", ASK)
    assert reply.status == 200
    assert reply.content_type == "application/x-ndjson"
    head = {"model": "demo", "created_at": NOW}
    assert reply.lines == [
        {**head, "response": "Hello", "done": False},
        {**head, "response": " world", "done": False},
        {**head, "response": "", "done": True, "done_reason": "stop", "context": [1, 2, 3], **METRICS},
    ]
    assert reply.body.endswith(b"}\n")


async def test_a_whole_answer_is_one_object(call: Caller) -> None:
    reply = await call.post("/api/generate", {**ASK, "stream": False})
    assert reply.content_type == "application/json; charset=utf-8"
    assert reply.json == {
        "model": "demo",
        "created_at": NOW,
        "response": "Hello world",
        "done": True,
        "done_reason": "stop",
        "context": [1, 2, 3],
        **METRICS,
    }


async def test_figures_that_are_zero_are_left_out(front: FakeFront, call: Caller) -> None:
    front.script = Script(texts=(), ended=LeaseEnded(ENDED.lease, EndReason.LENGTH))
    reply = await call.post("/api/generate", ASK)
    assert [sorted(line) for line in reply.lines] == [
        ["created_at", "done", "done_reason", "load_duration", "model", "response", "total_duration"]
    ]
    assert reply.lines[0]["done_reason"] == "length"


async def test_pieces_without_text_are_not_sent(front: FakeFront, call: Caller) -> None:
    front.script = Script(texts=("", "a", "", "b", ""))
    reply = await call.post("/api/generate", ASK)
    assert [line["response"] for line in reply.lines] == ["a", "b", ""]


async def test_a_prompt_becomes_a_conversation_for_the_models_template(call: Caller) -> None:
    await call.post("/api/generate", {**ASK, "system": "be brief", "truncate": False, "context": [4, 5]})
    (orders,) = call.front.generated
    turns = (ChatMessage("system", "be brief"), ChatMessage("user", "hi"))
    assert orders.prompt == ChatPrompt(turns, truncate=False)
    assert (orders.context, orders.with_context) == ((4, 5), True)


async def test_raw_text_goes_as_it_is_and_comes_back_without_context(call: Caller) -> None:
    reply = await call.post("/api/generate", {**ASK, "raw": True})
    assert call.front.generated[0].prompt == TextPrompt("hi", truncate=True)
    assert not call.front.generated[0].with_context
    assert "context" not in reply.lines[-1]


async def test_options_and_keep_alive_reach_the_runner_and_the_lease(call: Caller) -> None:
    options = {"num_ctx": 512, "temperature": 0, "num_predict": 5, "num_keep": 2, "stop": ["\n"]}
    await call.post("/api/generate", {**ASK, "keep_alive": "1m", "options": options})
    assert call.front.leased == [("demo:latest", 512, 60 * NS_PER_S)]
    (orders,) = call.front.generated
    assert orders.sampling == Sampling(temperature=0.0)
    assert (orders.num_predict, orders.num_keep, orders.stop) == (5, 2, ("\n",))


@pytest.mark.parametrize("path", ["/api/generate", "/api/chat"])
async def test_a_wish_for_the_cpu_reaches_the_lease(call: Caller, path: str) -> None:
    said: dict[str, Any] = {"prompt": "hi", "messages": [{"role": "user", "content": "hi"}]}
    await call.post(path, {"model": "demo", **said, "options": {"num_gpu": 0}})
    await call.post(path, {"model": "demo", **said, "options": {"num_gpu": -1}})
    assert call.front.gpu_layers == [0, None]


@pytest.mark.parametrize(("keep_alive", "expected_ns"), [(0, 0), (-1, FOREVER_NS), (None, None), (1.5, 1_500_000_000)])
async def test_keep_alive_of_an_answer(call: Caller, keep_alive: Any, expected_ns: int | None) -> None:
    await call.post("/api/generate", {**ASK, "keep_alive": keep_alive})
    assert call.front.leased == [("demo:latest", None, expected_ns)]


@pytest.mark.parametrize("stream", [True, False])
async def test_without_a_prompt_the_model_is_loaded(call: Caller, stream: bool) -> None:
    reply = await call.post("/api/generate", {"model": "demo", "stream": stream, "keep_alive": "5m"})
    assert reply.content_type == "application/json; charset=utf-8"
    assert reply.json == {"model": "demo", "created_at": NOW, "response": "", "done": True, "done_reason": "load"}
    assert call.front.leased == [("demo:latest", None, 300 * NS_PER_S)]
    assert (call.front.generated, call.front.open_leases) == ([], 0)


@pytest.mark.parametrize("zero", [0, "0", "0s"])
async def test_without_a_prompt_and_keep_alive_0_it_is_unloaded_and_never_loaded(call: Caller, zero: Any) -> None:
    reply = await call.post("/api/generate", {"model": "Demo", "keep_alive": zero})
    assert reply.json == {"model": "Demo", "created_at": NOW, "response": "", "done": True, "done_reason": "unload"}
    assert (call.front.stopped, call.front.leased) == ([("demo:latest", False)], [])


@pytest.mark.parametrize(
    ("name", "status", "error"),
    [
        ("nope", 404, "model 'nope' not found"),
        ("nope:7b", 404, "model 'nope:7b' not found"),
        ("  ", 404, "model '  ' not found"),
        ("a b", 400, "invalid model name"),
        ("demo:", 400, "invalid model name"),
        ("../../etc/passwd", 400, "invalid model name"),
        ("demo@sha256:ab", 400, "invalid model name"),
        ("x" * 81, 400, "invalid model name"),
    ],
)
async def test_a_model_that_is_not_there(call: Caller, name: str, status: int, error: str) -> None:
    reply = await call.post("/api/generate", {"model": name, "prompt": "hi"})
    assert (reply.status, reply.json) == (status, {"error": error})


@pytest.mark.parametrize("further", [{"system": "x"}, {"template": "x"}, {"context": [1]}])
async def test_raw_mode_takes_no_template_system_or_context(call: Caller, further: dict[str, Any]) -> None:
    reply = await call.post("/api/generate", {**ASK, "raw": True, **further})
    assert (reply.status, reply.json) == (400, {"error": "raw mode does not support template, system, or context"})


@pytest.mark.parametrize("count", [-1, 21])
@pytest.mark.parametrize("path", ["/api/generate", "/api/chat"])
async def test_top_logprobs_are_checked_before_the_model(call: Caller, path: str, count: int) -> None:
    reply = await call.post(path, {"model": "nope", "top_logprobs": count})
    assert (reply.status, reply.body) == (400, b'{"error":"top_logprobs must be between 0 and 20"}')


async def test_a_model_that_completes_nothing_cannot_generate() -> None:
    call = Caller(FakeFront(store=FakeStore({model("bert:latest"): facts(capabilities=("embedding",))})))
    reply = await call.post("/api/generate", {"model": "bert", "prompt": "hi"})
    assert (reply.status, reply.body) == (400, b'{"error":"\\"bert\\" does not support generate"}')


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("suffix", "x"),
        ("template", "{{ .Prompt }}"),
        ("images", ["aGk="]),
        ("format", "json"),
        ("format", {"type": "object"}),
        ("format", {}),
        ("shift", False),
        ("logprobs", True),
        ("top_logprobs", 3),
        ("_debug_render_only", True),
    ],
)
@pytest.mark.parametrize("stream", [True, False])
async def test_a_field_that_is_not_served_is_refused_by_name(
    call: Caller, field: str, value: Any, stream: bool
) -> None:
    reply = await call.post("/api/generate", {**ASK, "stream": stream, field: value})
    assert reply.status == 501
    assert reply.json["error"].startswith(field)
    assert call.front.leased == []


async def test_values_that_ask_for_nothing_are_accepted(call: Caller) -> None:
    nothing = {"suffix": "", "template": "", "images": [], "format": "", "shift": True, "logprobs": False}
    assert (await call.post("/api/generate", {**ASK, **nothing, "top_logprobs": 0, "think": False})).status == 200


@pytest.mark.parametrize("value", ["xml", 5, True, []])
async def test_a_format_that_is_none_is_the_clients_error(call: Caller, value: Any) -> None:
    reply = await call.post("/api/generate", {**ASK, "format": value})
    assert reply.status == 400
    assert reply.json["error"].startswith('invalid format: "')


@pytest.mark.parametrize("think", [True, "low", "medium", "high", "max"])
async def test_a_model_that_cannot_think_says_so(call: Caller, think: Any) -> None:
    reply = await call.post("/api/generate", {**ASK, "think": think})
    assert (reply.status, reply.body) == (400, b'{"error":"\\"demo\\" does not support thinking"}')


@pytest.mark.parametrize("think", [True, False, "low"])
async def test_wishes_about_thinking_are_not_served_where_a_model_can(think: Any) -> None:
    store = FakeStore({model(): facts(capabilities=("completion", "thinking"))})
    call = Caller(FakeFront(store=store))
    assert (await call.post("/api/generate", {**ASK, "think": think})).status == 501
    assert (await call.post("/api/generate", ASK)).status == 200


async def test_a_bad_think_value_has_its_words(call: Caller) -> None:
    reply = await call.post("/api/generate", {**ASK, "think": "very"})
    words = 'invalid think value: "very" (must be "high", "medium", "low", "max", true, or false)'
    assert (reply.status, reply.json) == (400, {"error": words})


@pytest.mark.parametrize("stream", [True, False])
@pytest.mark.parametrize(
    ("code", "status", "text"),
    [
        (RefusalCode.QUEUE_FULL, 503, "server busy, please try again.  maximum pending requests exceeded"),
        (RefusalCode.TOO_LARGE, 503, "as the core said"),
        (RefusalCode.DRAINING, 503, "as the core said"),
        (RefusalCode.WAITED_TOO_LONG, 503, "as the core said"),
        (RefusalCode.LOAD_FAILED, 500, "as the core said"),
        (RefusalCode.PROMPT_TOO_LONG, 400, "as the core said"),
    ],
)
async def test_a_refused_lease_keeps_its_status(
    front: FakeFront, call: Caller, code: RefusalCode, status: int, text: str, stream: bool
) -> None:
    front.script = Script(refuse=RequestRefused(Refusal(code, "as the core said", retry_after_s=7)))
    reply = await call.post("/api/generate", {**ASK, "stream": stream})
    assert (reply.status, reply.json) == (status, {"error": text})
    assert reply.headers["Retry-After"] == "7"


@pytest.mark.parametrize("stream", [True, False])
async def test_an_error_before_the_first_piece_keeps_its_status(front: FakeFront, call: Caller, stream: bool) -> None:
    refusal = Refusal(RefusalCode.PROMPT_TOO_LONG, "the prompt is longer than the context")
    front.script = Script(texts=(), ended=LeaseEnded(ENDED.lease, EndReason.REFUSED, refusal=refusal))
    reply = await call.post("/api/generate", {**ASK, "stream": stream})
    assert (reply.status, reply.json) == (400, {"error": "the prompt is longer than the context"})
    assert reply.content_type == ("application/json" if stream else "application/json; charset=utf-8")
    assert front.open_leases == 0


async def test_an_error_after_the_first_piece_is_the_last_line(front: FakeFront, call: Caller) -> None:
    crash = RunnerFailed(Refusal(RefusalCode.RUNNER_CRASHED, "the runner ended"))
    front.script = Script(texts=("Hel", crash))
    reply = await call.post("/api/generate", ASK)
    assert reply.status == 200
    assert [line.get("response") for line in reply.lines] == ["Hel", None]
    assert reply.lines[-1] == {"error": "the runner ended"}


@pytest.mark.parametrize("texts", [(ValueError("/etc/secret"),), ("Hel", ValueError("/etc/secret"))])
async def test_a_fault_of_ours_is_one_constant_sentence(front: FakeFront, call: Caller, texts: Any) -> None:
    front.script = Script(texts=texts)
    reply = await call.post("/api/generate", ASK)
    told = "internal error; the server's log has the details under request id fake-1"
    assert reply.status == (500 if len(texts) == 1 else 200)
    assert reply.lines[-1] == {"error": told}
    assert reply.headers["X-Request-Id"] == "fake-1"
    assert front.open_leases == 0


@pytest.mark.parametrize("stream", [True, False])
async def test_an_answer_that_was_cut_short_is_no_answer(front: FakeFront, call: Caller, stream: bool) -> None:
    front.script = Script(ended=LeaseEnded(ENDED.lease, EndReason.CANCELLED))
    reply = await call.post("/api/generate", {**ASK, "stream": stream})
    assert reply.status == (200 if stream else 503)
    assert "cut short" in reply.lines[-1]["error"]
    assert not any(line.get("done") for line in reply.lines)
