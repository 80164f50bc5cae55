"""POST /v1/chat/completions: frames, envelopes, mapping."""

from typing import Any

import pytest

from statemachines.errors import Refusal, RefusalCode, RequestRefused, RunnerFailed
from statemachines.wire.messages import ChatMessage, EndReason, LeaseEnded, Sampling
from tests.fakes.front import ENDED, FakeFront, FakeStore, Script, facts, model
from tests.service.http.calling import Caller, Reply

PATH = "/v1/chat/completions"
ASK = {"model": "demo", "messages": [{"role": "user", "content": "hi"}]}
HEAD = {"id": "chatcmpl-1", "created": 1_700_000_000, "model": "demo", "system_fingerprint": "fp_ollama"}
USAGE = {"prompt_tokens": 7, "completion_tokens": 3, "total_tokens": 10}


def error(reply: Reply) -> tuple[int, str, str]:
    assert set(reply.json) == {"error"}
    assert set(reply.json["error"]) == {"message", "type", "param", "code"}
    assert reply.content_type == "application/json"
    return reply.status, reply.json["error"]["type"], reply.json["error"]["message"]


async def test_a_whole_answer(call: Caller) -> None:
    reply = await call.post(PATH, ASK)
    assert reply.content_type == "application/json"
    message = {"role": "assistant", "content": "Hello world"}
    assert reply.json == {
        **HEAD,
        "object": "chat.completion",
        "choices": [{"index": 0, "message": message, "finish_reason": "stop"}],
        "usage": USAGE,
    }


def chunk(delta: dict[str, str], reason: str | None = None) -> dict[str, Any]:
    choice = {"index": 0, "delta": delta, "finish_reason": reason}
    return {**HEAD, "object": "chat.completion.chunk", "choices": [choice]}


async def test_a_stream_has_text_then_a_finish_then_done(call: Caller) -> None:
    reply = await call.post(PATH, {**ASK, "stream": True})
    assert reply.content_type == "text/event-stream"
    assert reply.events == [
        chunk({"role": "assistant", "content": "Hello"}),
        chunk({"content": " world"}),
        chunk({}, "stop"),
        "[DONE]",
    ]
    assert b'"delta":{}' in reply.body
    assert reply.body.endswith(b"data: [DONE]\n\n")


async def test_usage_has_a_frame_of_its_own_when_it_is_asked_for(call: Caller) -> None:
    reply = await call.post(PATH, {**ASK, "stream": True, "stream_options": {"include_usage": True}})
    assert reply.events[-2] == {**HEAD, "object": "chat.completion.chunk", "choices": [], "usage": USAGE}
    assert not any("usage" in frame for frame in reply.events[:-2])


async def test_an_answer_without_text_still_has_a_role(front: FakeFront, call: Caller) -> None:
    front.script = Script(texts=(), ended=LeaseEnded(ENDED.lease, EndReason.LENGTH))
    reply = await call.post(PATH, {**ASK, "stream": True})
    assert reply.events == [chunk({"role": "assistant", "content": ""}), chunk({}, "length"), "[DONE]"]


async def test_fields_reach_the_runner_by_their_other_names(call: Caller) -> None:
    further = {"max_tokens": 9, "seed": 5, "stop": "END", "temperature": 0.2, "top_p": 0.3}
    await call.post(PATH, {**ASK, **further})
    (orders,) = call.front.generated
    assert orders.sampling == Sampling(temperature=0.2, top_p=0.3, seed=5)
    assert (orders.num_predict, orders.stop, orders.with_context) == (9, ("END",), False)
    assert call.front.leased == [("demo:latest", None, None)]


async def test_sampling_options_that_clients_add_for_local_servers_count(call: Caller) -> None:
    extras = {"top_k": 7, "min_p": 0.1, "repeat_penalty": 1.2, "repeat_last_n": 16, "typical_p": 1.0}
    await call.post(PATH, {**ASK, **extras})
    (orders,) = call.front.generated
    sampling = orders.sampling
    assert (sampling.top_k, sampling.min_p, sampling.repeat_penalty, sampling.repeat_last_n) == (7, 0.1, 1.2, 16)
    assert error(await call.post(PATH, {**ASK, "top_k": "many"}))[:2] == (400, "invalid_request_error")
    assert error(await call.post(PATH, {**ASK, "typical_p": 0.5}))[:2] == (501, "api_error")


async def test_think_counts_before_the_effort(call: Caller) -> None:
    assert error(await call.post(PATH, {**ASK, "think": True}))[0] == 400
    assert (await call.post(PATH, {**ASK, "think": False, "reasoning_effort": "high"})).status == 200


async def test_temperature_and_top_p_default_to_one(call: Caller) -> None:
    await call.post(PATH, {**ASK, "temperature": None})
    assert call.front.generated[0].sampling == Sampling(temperature=1.0, top_p=1.0)


@pytest.mark.parametrize(
    ("limits", "expected"),
    [
        ({}, -1),
        ({"max_tokens": 5}, 5),
        ({"max_completion_tokens": 6}, 6),
        ({"max_tokens": 5, "max_completion_tokens": 3}, 3),
    ],
)
async def test_the_smaller_limit_on_tokens_counts(call: Caller, limits: dict[str, int], expected: int) -> None:
    await call.post(PATH, {**ASK, **limits})
    assert call.front.generated[0].num_predict == expected


@pytest.mark.parametrize(
    ("stop", "expected"), [(None, ()), ("", ()), ("a", ("a",)), (["a", 5, "b", None], ("a", "b")), ([], ())]
)
async def test_stop_is_a_string_or_a_list(call: Caller, stop: Any, expected: tuple[str, ...]) -> None:
    await call.post(PATH, {**ASK, "stop": stop})
    assert call.front.generated[0].stop == expected


async def test_each_part_is_a_message_of_its_own(call: Caller) -> None:
    parts = [{"type": "text", "text": "a"}, {"type": "text", "text": "b"}]
    turns = [{"role": "System", "content": "s", "name": "x", "refusal": None}, {"role": "user", "content": parts}]
    await call.post(PATH, {**ASK, "messages": turns})
    expected = (ChatMessage("system", "s"), ChatMessage("user", "a"), ChatMessage("user", "b"))
    assert call.front.generated[0].prompt.messages == expected


@pytest.mark.parametrize(
    ("messages", "words"),
    [
        ([], "[] is too short - 'messages'"),
        (None, "[] is too short - 'messages'"),
        ([{"role": "user"}], "invalid message content type: <nil>"),
        ([None], "invalid message content type: <nil>"),
        ([{"role": "user", "content": 5}], "invalid message content type: float64"),
        ([{"role": "user", "content": True}], "invalid message content type: bool"),
        ([{"role": "user", "content": {}}], "invalid message content type: map[string]interface {}"),
        ([{"role": "user", "content": ["x"]}], "invalid message format"),
        ([{"role": "user", "content": [{"type": "text"}]}], "invalid message format"),
        ([{"role": "user", "content": [{"text": "x"}]}], "invalid message format"),
    ],
)
async def test_messages_that_are_none(call: Caller, messages: Any, words: str) -> None:
    reply = await call.post(PATH, {**ASK, "messages": messages})
    assert error(reply) == (400, "invalid_request_error", words)


@pytest.mark.parametrize(
    ("turn", "field"),
    [
        ({"role": "user", "content": [{"type": "image_url", "image_url": {"url": "x"}}]}, "messages[].content"),
        ({"role": "user", "content": [{"type": "input_audio"}]}, "messages[].content"),
        ({"role": "assistant", "tool_calls": [{"id": "1"}]}, "messages[].tool_calls"),
        ({"role": "tool", "content": "x", "tool_call_id": "1"}, "messages[].tool_call_id"),
        ({"role": "assistant", "content": "x", "reasoning": "hm"}, "messages[].reasoning"),
        ({"role": "assistant", "content": "x", "function_call": {"name": "f"}}, "messages[].function_call"),
    ],
)
async def test_a_turn_with_more_than_text_is_refused_by_name(call: Caller, turn: Any, field: str) -> None:
    status, kind, words = error(await call.post(PATH, {**ASK, "messages": [turn]}))
    assert (status, kind) == (501, "api_error")
    assert words.startswith(field)


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("format", "json"),
        ("frequency_penalty", 0.5),
        ("presence_penalty", -0.5),
        ("response_format", {"type": " JSON_object"}),
        ("response_format", {"type": "json_schema", "json_schema": {"schema": {}}}),
        ("logprobs", True),
        ("top_logprobs", 3),
        ("n", 2),
        ("tools", [{"type": "function"}]),
        ("tool_choice", "required"),
        ("tool_choice", {"type": "function"}),
        ("functions", [{"name": "f"}]),
        ("function_call", {"name": "f"}),
        ("logit_bias", {"5": 1}),
        ("modalities", ["text", "audio"]),
        ("audio", {"voice": "x"}),
        ("web_search_options", {}),
        ("verbosity", "low"),
        ("options", {"num_ctx": 5}),
        ("num_ctx", 2048),
        ("_debug_render_only", True),
    ],
)
async def test_a_field_that_is_not_served_is_refused_by_name(call: Caller, field: str, value: Any) -> None:
    status, kind, words = error(await call.post(PATH, {**ASK, field: value}))
    assert (status, kind) == (501, "api_error")
    assert words.startswith(field)
    assert call.front.leased == []


async def test_values_that_ask_for_nothing_are_accepted(call: Caller) -> None:
    nothing = {
        "frequency_penalty": 0,
        "presence_penalty": 0.0,
        "response_format": {"type": "text"},
        "logprobs": False,
        "top_logprobs": None,
        "n": 1,
        "tools": [],
        "tool_choice": "auto",
        "parallel_tool_calls": True,
        "logit_bias": {},
        "modalities": ["text"],
        "verbosity": "medium",
        "reasoning_effort": "none",
        "user": "me",
        "store": True,
        "metadata": {"a": "b"},
        "service_tier": "auto",
        "keep_alive": "5m",
    }
    assert (await call.post(PATH, {**ASK, **nothing})).status == 200


async def test_fields_of_known_objects_fold_like_those_of_the_body(call: Caller) -> None:
    parts = [{"TYPE": "text", "Text": "hi"}]
    nulls = {
        "reasoning": {"effort": None},
        "response_format": {"type": None},
        "STREAM_OPTIONS": {"Include_Usage": None},
    }
    body = {**ASK, **nulls, "messages": [{"role": "user", "content": parts}]}
    assert (await call.post(PATH, body)).status == 200
    assert call.front.generated[0].prompt.messages == (ChatMessage("user", "hi"),)


@pytest.mark.parametrize("count", [-1, 21])
async def test_top_logprobs_have_a_range(call: Caller, count: int) -> None:
    reply = await call.post(PATH, {**ASK, "top_logprobs": count})
    assert error(reply) == (400, "invalid_request_error", "top_logprobs must be between 0 and 20")


@pytest.mark.parametrize("effort", ["minimal", "low", "medium", "high", "xhigh", "ultra", "max"])
@pytest.mark.parametrize("where", ["reasoning_effort", "reasoning"])
async def test_a_model_that_cannot_think_says_so(call: Caller, effort: str, where: str) -> None:
    value = effort if where == "reasoning_effort" else {"effort": effort}
    reply = await call.post(PATH, {**ASK, where: value})
    assert error(reply) == (400, "invalid_request_error", '"demo" does not support thinking')


async def test_effort_is_not_served_where_a_model_can_think() -> None:
    call = Caller(FakeFront(store=FakeStore({model(): facts(capabilities=("completion", "thinking"))})))
    assert error(await call.post(PATH, {**ASK, "reasoning_effort": "low"}))[0] == 501
    assert error(await call.post(PATH, {**ASK, "reasoning_effort": "none"}))[0] == 501
    assert (await call.post(PATH, {**ASK, "reasoning_effort": ""})).status == 200


async def test_the_reasoning_object_counts_before_the_effort(call: Caller) -> None:
    both = {"reasoning": {"effort": "none"}, "reasoning_effort": "high"}
    assert (await call.post(PATH, {**ASK, **both})).status == 200


async def test_an_effort_that_is_none_has_its_words(call: Caller) -> None:
    _, _, words = error(await call.post(PATH, {**ASK, "reasoning_effort": "very"}))
    choices = '"minimal", "low", "medium", "high", "xhigh", "ultra", "max", or "none"'
    assert words == f'invalid reasoning value: "very" (must be {choices})'


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("", (400, "invalid_request_error", "model is required")),
        ("nope", (404, "not_found_error", "model 'nope' not found")),
        ("a b", (400, "invalid_request_error", "invalid model name")),
    ],
)
async def test_a_model_that_is_not_there(call: Caller, name: str, expected: tuple[int, str, str]) -> None:
    assert error(await call.post(PATH, {**ASK, "model": name})) == expected


async def test_a_model_that_completes_nothing_cannot_chat() -> None:
    call = Caller(FakeFront(store=FakeStore({model("bert:latest"): facts(capabilities=("embedding",))})))
    reply = await call.post(PATH, {**ASK, "model": "bert"})
    assert error(reply) == (400, "invalid_request_error", '"bert" does not support chat')


@pytest.mark.parametrize("stream", [True, False])
async def test_a_full_queue_says_when_to_try_again(front: FakeFront, call: Caller, stream: bool) -> None:
    front.script = Script(refuse=RequestRefused(Refusal(RefusalCode.QUEUE_FULL, "full", retry_after_s=3)))
    reply = await call.post(PATH, {**ASK, "stream": stream})
    assert error(reply) == (503, "api_error", "server busy, please try again.  maximum pending requests exceeded")
    assert reply.headers["Retry-After"] == "3"


async def test_an_error_after_the_first_frame_is_the_last_frame(front: FakeFront, call: Caller) -> None:
    front.script = Script(texts=("Hel", RunnerFailed(Refusal(RefusalCode.RUNNER_CRASHED, "the runner ended"))))
    reply = await call.post(PATH, {**ASK, "stream": True})
    assert reply.status == 200
    assert reply.events[-1] == {
        "error": {"message": "the runner ended", "type": "api_error", "param": None, "code": None}
    }
    assert len(reply.events) == 2


async def test_an_error_before_the_first_frame_has_its_status(front: FakeFront, call: Caller) -> None:
    refusal = Refusal(RefusalCode.TEMPLATE_FAILED, "the template refused")
    front.script = Script(texts=(), ended=LeaseEnded(ENDED.lease, EndReason.REFUSED, refusal=refusal))
    reply = await call.post(PATH, {**ASK, "stream": True})
    assert error(reply) == (400, "invalid_request_error", "the template refused")
