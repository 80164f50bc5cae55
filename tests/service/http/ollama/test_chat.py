"""POST /api/chat: conversations in, the next turn out."""

from typing import Any

import pytest

from statemachines.wire.messages import ChatMessage, ChatPrompt
from tests.fakes.front import FakeFront, FakeStore, Script, facts, model
from tests.service.http.calling import NOW, Caller

TURNS = [{"role": "System", "content": "be brief"}, {"role": "user", "content": "hi"}]
ASK = {"model": "demo", "messages": TURNS}


async def test_a_stream_carries_messages(call: Caller) -> None:
    reply = await call.post("/api/chat", ASK)
    assert reply.content_type == "application/x-ndjson"
    head = {"model": "demo", "created_at": NOW}
    assert [line["message"] for line in reply.lines] == [
        {"role": "assistant", "content": text} for text in ("Hello", " world", "")
    ]
    assert reply.lines[0] == {**head, "message": {"role": "assistant", "content": "Hello"}, "done": False}
    last = reply.lines[-1]
    assert (last["done"], last["done_reason"], last["prompt_eval_count"], last["eval_count"]) == (True, "stop", 7, 3)
    assert "context" not in last


async def test_a_whole_answer_is_one_message(call: Caller) -> None:
    reply = await call.post("/api/chat", {**ASK, "stream": False})
    assert reply.json["message"] == {"role": "assistant", "content": "Hello world"}
    assert all(reply.json[name] > 0 for name in ("total_duration", "load_duration", "eval_duration"))


async def test_turns_reach_the_template_in_order_with_roles_in_lower_case(call: Caller) -> None:
    await call.post("/api/chat", {**ASK, "truncate": False})
    turns = (ChatMessage("system", "be brief"), ChatMessage("user", "hi"))
    assert call.front.generated[0].prompt == ChatPrompt(turns, truncate=False)
    assert not call.front.generated[0].with_context


@pytest.mark.parametrize("messages", [[], None])
async def test_without_messages_the_model_is_loaded(call: Caller, messages: Any) -> None:
    reply = await call.post("/api/chat", {"model": "demo", "messages": messages})
    message = {"role": "assistant", "content": ""}
    assert reply.json == {"model": "demo", "created_at": NOW, "message": message, "done": True, "done_reason": "load"}
    assert len(call.front.leased) == 1


async def test_without_messages_and_keep_alive_0_it_is_unloaded(call: Caller) -> None:
    reply = await call.post("/api/chat", {"model": "demo", "keep_alive": 0})
    assert (reply.json["done_reason"], reply.json["message"]["content"]) == ("unload", "")
    assert (call.front.leased, call.front.stopped) == ([], [("demo:latest", False)])


@pytest.mark.parametrize(
    ("name", "status", "error"),
    [
        ("", 400, "model is required"),
        (" ", 400, "model is required"),
        ("nope", 404, "model 'nope' not found"),
        ("a b", 400, "invalid model name"),
    ],
)
async def test_a_model_that_is_not_there(call: Caller, name: str, status: int, error: str) -> None:
    reply = await call.post("/api/chat", {**ASK, "model": name})
    assert (reply.status, reply.json) == (status, {"error": error})


async def test_a_model_that_completes_nothing_cannot_chat() -> None:
    call = Caller(FakeFront(store=FakeStore({model("bert:latest"): facts(capabilities=("embedding",))})))
    reply = await call.post("/api/chat", {**ASK, "model": "bert"})
    assert (reply.status, reply.body) == (400, b'{"error":"\\"bert\\" does not support chat"}')


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("thinking", "hm"),
        ("images", ["aGk="]),
        ("tool_calls", [{"function": {"name": "f", "arguments": {}}}]),
        ("tool_name", "f"),
        ("tool_call_id", "call_1"),
    ],
)
async def test_a_turn_with_more_than_text_is_refused_by_name(call: Caller, field: str, value: Any) -> None:
    reply = await call.post("/api/chat", {**ASK, "messages": [*TURNS, {"role": "tool", "content": "x", field: value}]})
    assert reply.status == 501
    assert reply.json["error"].startswith(f"messages[].{field} ")


async def test_tools_are_refused_by_name(call: Caller) -> None:
    reply = await call.post("/api/chat", {**ASK, "tools": [{"type": "function"}]})
    assert (reply.status, reply.json["error"].split()[0]) == (501, "tools")


async def test_empty_extras_of_a_turn_ask_for_nothing(call: Caller) -> None:
    extras = {"thinking": "", "images": None, "tool_calls": [], "tool_name": ""}
    assert (await call.post("/api/chat", {**ASK, "messages": [None, {**TURNS[1], **extras}]})).status == 200


async def test_an_answer_without_text_still_ends(front: FakeFront, call: Caller) -> None:
    front.script = Script(texts=())
    reply = await call.post("/api/chat", ASK)
    assert [line["done"] for line in reply.lines] == [True]
