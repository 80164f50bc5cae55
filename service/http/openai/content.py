"""``messages`` of the OpenAI API, whose content may come in parts."""

from typing import Any

import msgspec

from service.http.bodies import check_turns, folded
from service.http.errors import ApiError, not_served
from statemachines.wire.messages import ChatMessage

# How clients of this API have always been told what they sent.
_TYPE_NAMES = {type(None): "<nil>", bool: "bool", int: "float64", float: "float64", dict: "map[string]interface {}"}


class OpenAITurn(msgspec.Struct, kw_only=True):
    """One message of the request. The fields below ``content`` are not served yet."""

    role: str = ""
    content: Any = None
    reasoning: str = ""
    tool_calls: list[Any] = []
    tool_call_id: str = ""
    function_call: Any = None
    audio: Any = None


def read_turns(turns: list[OpenAITurn]) -> list[ChatMessage]:
    """The conversation, each text part a message of its own.

    Raises:
        ApiError: 400 or 501.
    """
    if not turns:
        raise ApiError(400, "[] is too short - 'messages'")
    check_turns(sum(len(turn.content) if isinstance(turn.content, list) else 1 for turn in turns))
    return [message for turn in turns for message in _messages(turn)]


def _messages(turn: OpenAITurn) -> list[ChatMessage]:
    for name in ("tool_calls", "tool_call_id", "reasoning", "function_call", "audio"):
        if getattr(turn, name):
            raise not_served(f"messages[].{name}")
    role = turn.role.lower()
    if isinstance(turn.content, str):
        return [ChatMessage(role, turn.content)]
    if isinstance(turn.content, list):
        return [ChatMessage(role, _part_text(part)) for part in turn.content]
    raise ApiError(400, f"invalid message content type: {_TYPE_NAMES[type(turn.content)]}")


def _part_text(part: object) -> str:
    if not isinstance(part, dict):
        raise ApiError(400, "invalid message format")
    part = folded(part)
    kind = part.get("type")
    if kind in ("image_url", "input_audio", "file"):
        raise not_served(f"messages[].content of type {kind}")
    text = part.get("text")
    if kind != "text" or not isinstance(text, str):
        raise ApiError(400, "invalid message format")
    return text
