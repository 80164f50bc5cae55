"""Bodies that are hostile, odd, or merely wrong: a status and a sentence, never a traceback."""

from typing import Any

import pytest

from service.http.bodies import SEPARATORS_MAX, TURNS_MAX
from service.http.ollama.generate import CONTEXT_TOKENS_MAX
from tests.service.http.calling import Caller

JSON_ROUTES = ["/api/generate", "/api/chat", "/api/show"]


@pytest.mark.parametrize("path", JSON_ROUTES)
@pytest.mark.parametrize("body", [b"", b" ", b"\r\n\t"])
async def test_an_empty_body_is_said_to_be_missing(call: Caller, path: str, body: bytes) -> None:
    reply = await call.post(path, body)
    assert (reply.status, reply.body) == (400, b'{"error":"missing request body"}')
    assert reply.content_type == "application/json; charset=utf-8"


async def test_an_empty_body_of_the_openai_api_has_its_own_words(call: Caller) -> None:
    reply = await call.post("/v1/chat/completions", b"")
    assert reply.status == 400
    assert reply.json == {"error": {"message": "EOF", "type": "invalid_request_error", "param": None, "code": None}}
    assert reply.content_type == "application/json"


MALFORMED = [
    b"{",
    b"nope",
    b'{"model":"demo"}x',
    b'{"model":"\xff"}',
    b'{"model":"\\ud800"}',
    b"\xef\xbb\xbf{}",
    b'{"model":NaN}',
    b'{"options":{"num_ctx":1e400}}',
    b'{"a":' * 100_000,
    b"[" * 5_000 + b"]" * 5_000,
    b"[]",
    b"5",
    b'"model"',
    b"\x1f\x8b\x08\x00gzip",
]


@pytest.mark.parametrize("path", [*JSON_ROUTES, "/v1/chat/completions"])
async def test_a_malformed_body_is_the_clients_error(call: Caller, path: str) -> None:
    for body in MALFORMED:
        reply = await call.post(path, body)
        assert reply.status == 400, body[:40]
        assert b"Traceback" not in reply.body
        assert b"/nowhere" not in reply.body
    assert call.front.leased == []


@pytest.mark.parametrize(
    ("path", "expected"),
    [
        ("/api/generate", (404, b'{"error":"model \'\' not found"}')),
        ("/api/chat", (400, b'{"error":"model is required"}')),
        ("/api/show", (400, b'{"error":"model is required"}')),
    ],
)
@pytest.mark.parametrize("body", [b"null", b"{}", b'{"model":null}', b'{"model":""}'])
async def test_a_body_without_a_model(call: Caller, path: str, expected: tuple[int, bytes], body: bytes) -> None:
    reply = await call.post(path, body)
    assert (reply.status, reply.body) == expected


SHARED_WRONG: dict[str, list[Any]] = {
    "model": [5, True, [], {}],
    "stream": ["yes", 1, 0, []],
    "options": [[], "x", 5],
    "truncate": ["true", 1],
    "shift": ["false", 0],
    "logprobs": [1, "true"],
    "top_logprobs": ["1", 1.5, True],
    "_debug_render_only": [1],
    "keep_alive": [True, [], {}, "300", "x"],
    "think": [5, [], {}, "very", ""],
}
WRONG: dict[str, dict[str, list[Any]]] = {
    "/api/generate": {
        **SHARED_WRONG,
        "prompt": [5, ["hi"], {}],
        "system": [5, []],
        "raw": ["true", 1],
        "context": ["x", [1.5], ["1"], [-1], [1 << 31], [0] * ((1 << 20) + 1), {}],
        "suffix": [5],
        "template": [5],
        "images": ["x", {}],
    },
    "/api/chat": {
        **SHARED_WRONG,
        "messages": ["x", {}, [5], ["hi"], [[]], [{"role": 5}], [{"content": 5}], [{"content": [{"type": "text"}]}]],
        "tools": ["x", {}],
    },
    "/v1/chat/completions": {
        "model": [5, []],
        "messages": ["x", {}, [5], [{"role": 5, "content": "x"}]],
        "stream": ["yes", 1],
        "stream_options": ["x", {"include_usage": "yes"}],
        "max_tokens": ["5", 1.5, True],
        "max_completion_tokens": ["5"],
        "seed": ["5", 1.5],
        "stop": [5, True, {}],
        "temperature": ["1", True, []],
        "top_p": ["1"],
        "frequency_penalty": ["1"],
        "presence_penalty": ["1"],
        "response_format": ["json_object", []],
        "reasoning": ["high"],
        "reasoning_effort": [5, "very"],
        "logprobs": [5],
        "top_logprobs": ["5"],
        "n": ["2"],
        "tools": [{}],
    },
    "/api/show": {"model": [5], "verbose": ["true", 1], "system": [5], "options": [[]]},
}


@pytest.mark.parametrize(("path", "field"), [(path, field) for path, fields in WRONG.items() for field in fields])
async def test_a_field_of_the_wrong_type_is_the_clients_error(call: Caller, path: str, field: str) -> None:
    for value in WRONG[path][field]:
        body = {"model": "demo", "messages": [{"role": "user", "content": "hi"}], "prompt": "hi", field: value}
        assert (await call.post(path, body)).status == 400, value
    assert call.front.leased == []


async def test_names_match_whatever_their_case_and_the_later_one_counts(call: Caller) -> None:
    body = b'{"MODEL":"nope","Model":"demo","Messages":[{"ROLE":"User","Content":"hi"}],"STREAM":false}'
    reply = await call.post("/api/chat", body)
    assert reply.status == 200
    assert call.front.generated[0].prompt.messages[0].role == "user"


async def test_unknown_fields_and_nulls_are_ignored(call: Caller) -> None:
    nulls = dict.fromkeys(("options", "stream", "keep_alive", "think", "format", "context", "images", "system"))
    reply = await call.post("/api/generate", {**nulls, "model": "demo", "prompt": "hi", "no_such_field": [1, {}]})
    assert reply.status == 200
    assert reply.content_type == "application/x-ndjson"


async def test_the_content_type_of_a_request_is_ignored(call: Caller) -> None:
    reply = await call.post(
        "/api/generate", {"model": "demo", "prompt": "hi"}, Content_Type="application/x-www-form-urlencoded"
    )
    assert reply.status == 200


@pytest.mark.parametrize("path", ["/api/chat", "/v1/chat/completions"])
async def test_more_messages_than_anyone_means_are_refused_before_they_cost_anything(call: Caller, path: str) -> None:
    turns = b"{}," * TURNS_MAX + b"{}"
    reply = await call.post(path, b'{"model":"demo","messages":[' + turns + b"]}")
    assert (reply.status, f"at most {TURNS_MAX}".encode() in reply.body) == (400, True)


@pytest.mark.parametrize("value", [b"[],", b"{},", b'"ab",'])
async def test_a_body_that_would_take_gigabytes_once_decoded_is_refused_before(call: Caller, value: bytes) -> None:
    reply = await call.post("/api/generate", b'{"model":"demo","options":{"x":[' + value * SEPARATORS_MAX + b"0]}}")
    words = f"the request body may hold at most {SEPARATORS_MAX} commas and opening brackets"
    assert (reply.status, reply.json) == (400, {"error": words})


async def test_a_full_context_and_a_long_text_are_no_such_body(call: Caller) -> None:
    text = b"All work, and no play, " * 20_000
    full = b'{"model":"demo","prompt":"' + text + b'","context":[' + b"7," * (CONTEXT_TOKENS_MAX - 1) + b"7]}"
    assert (await call.post("/api/generate", full)).status == 200


async def test_parts_of_messages_count_like_messages(call: Caller) -> None:
    half = {"role": "user", "content": [{"type": "text", "text": ""}] * (TURNS_MAX // 2 + 1)}
    reply = await call.post("/v1/chat/completions", {"model": "demo", "messages": [half, half]})
    assert (reply.status, f"at most {TURNS_MAX}".encode() in reply.body) == (400, True)
