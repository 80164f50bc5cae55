"""Bodies that are odd and mean something all the same; those that mean nothing are in `tests.bad_input`."""

import pytest

from service.http.bodies import TURNS_MAX
from service.http.ollama.generate import CONTEXT_TOKENS_MAX
from tests.service.http.calling import Caller


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


async def test_a_full_context_and_a_long_text_are_no_such_body(call: Caller) -> None:
    text = b"All work, and no play, " * 20_000
    full = b'{"model":"demo","prompt":"' + text + b'","context":[' + b"7," * (CONTEXT_TOKENS_MAX - 1) + b"7]}"
    assert (await call.post("/api/generate", full)).status == 200


async def test_parts_of_messages_count_like_messages(call: Caller) -> None:
    half = {"role": "user", "content": [{"type": "text", "text": ""}] * (TURNS_MAX // 2 + 1)}
    reply = await call.post("/v1/chat/completions", {"model": "demo", "messages": [half, half]})
    assert (reply.status, f"at most {TURNS_MAX}".encode() in reply.body) == (400, True)
