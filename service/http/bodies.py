"""Request bodies: JSON to typed structs.

Names match whatever their case, ``null`` is the same as leaving a field out, unknown names are ignored: that is what
clients of these APIs have been able to rely on. A wrong type is an error with the field's place in it.
"""

from typing import Any, TypeVar, cast

import msgspec

from service.http.errors import ApiError
from statemachines.decoding import UNDECODABLE

SEPARATORS_MAX = 3 << 19
"""Commas and opening brackets in one body, those of its texts included. Each may be a value, which costs up to 50
times its bytes once it is decoded: a body of 64 MiB could take 1.6 GiB, and the loop for seconds. A full ``context``
has two thirds of them."""

T = TypeVar("T")

TURNS_MAX = 1 << 16
"""Messages, or parts of messages, in one request: each costs far more here and in the runner than its few bytes on
the wire."""


def parse_object(raw: bytes, *, empty_text: str = "missing request body") -> dict[str, Any]:
    """The fields of a JSON object by lower-cased name; those that are ``null`` are left out.

    Raises:
        ApiError: 400, the body is empty, is not JSON, is not an object, or holds too much.
    """
    if not raw or raw.isspace():
        raise ApiError(400, empty_text)
    if len(raw) > SEPARATORS_MAX and sum(map(raw.count, (b",", b"[", b"{"))) > SEPARATORS_MAX:
        raise ApiError(400, f"the request body may hold at most {SEPARATORS_MAX} commas and opening brackets")
    try:
        value = msgspec.json.decode(raw)
    except UNDECODABLE as error:
        raise ApiError(400, f"invalid JSON in the request body: {_reason(error)}") from None
    if value is None:
        return {}
    if not isinstance(value, dict):
        raise ApiError(400, "the request body must be a JSON object")
    return folded(value)


def folded(fields: dict[str, Any]) -> dict[str, Any]:
    """``fields`` by lower-cased name, without nulls. Of two names that differ only by case the later one counts."""
    return {name.lower(): value for name, value in fields.items() if value is not None}


def typed(fields: dict[str, Any], kind: type[T]) -> T:
    """``fields`` as a ``kind``.

    Raises:
        ApiError: 400, a field has the wrong type.
    """
    try:
        return msgspec.convert(fields, kind)
    except msgspec.ValidationError as error:
        raise ApiError(400, f"invalid request: {error}") from None


def folded_messages(fields: dict[str, Any]) -> dict[str, Any]:
    """``fields`` with the names inside its ``messages`` folded too; a ``null`` turn is an empty one.

    Raises:
        ApiError: 400, there are too many.
    """
    turns = fields.get("messages")
    if not isinstance(turns, list):
        return fields
    check_turns(len(turns))
    return {**fields, "messages": [_folded_turn(turn) for turn in turns]}


def check_turns(count: int) -> None:
    if count > TURNS_MAX:
        raise ApiError(400, f"messages may hold at most {TURNS_MAX} messages and parts; this request has {count}")


def _folded_turn(turn: object) -> object:
    if turn is None:
        return {}
    return folded(cast(dict[str, Any], turn)) if isinstance(turn, dict) else turn


def _reason(error: Exception) -> str:
    if isinstance(error, RecursionError):
        return "it is nested too deeply"
    if isinstance(error, UnicodeDecodeError):
        return "it is not UTF-8"
    return str(error).removeprefix("JSON is malformed: ")
