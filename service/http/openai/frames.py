"""Answers of ``/v1/chat/completions``: the whole object, and the frames of its stream."""

from collections.abc import Iterable

import msgspec

from service.http.errors import openai_envelope
from statemachines.wire.messages import LeaseEnded

FINGERPRINT = "fp_ollama"
"""What clients have always seen here; nothing can be read from it."""


class Head(msgspec.Struct, frozen=True):
    """What every frame of one answer shares. ``created`` is a Unix time [s]."""

    id: str
    created: int
    model: str

    def fields(self, kind: str) -> dict[str, object]:
        return {
            "id": self.id,
            "object": kind,
            "created": self.created,
            "model": self.model,
            "system_fingerprint": FINGERPRINT,
        }


def completion(head: Head, text: str, ended: LeaseEnded) -> dict[str, object]:
    """The whole answer."""
    message = {"role": "assistant", "content": text}
    choice = {"index": 0, "message": message, "finish_reason": ended.reason.value}
    return {**head.fields("chat.completion"), "choices": [choice], "usage": usage(ended)}


def usage(ended: LeaseEnded) -> dict[str, int]:
    prompt, output = ended.usage.prompt_tokens, ended.usage.output_tokens
    return {"prompt_tokens": prompt, "completion_tokens": output, "total_tokens": prompt + output}


class SseWriter:
    """An answer as server-sent events: text, finish, usage if asked for, ``[DONE]``.

    The role is in the first frame only; an answer without text has a first frame all the same.
    """

    def __init__(self, head: Head, *, with_usage: bool) -> None:
        self._head = head
        self._with_usage = with_usage
        self._is_first = True

    def text(self, text: str) -> Iterable[bytes]:
        role = {"role": "assistant"} if self._is_first else {}
        self._is_first = False
        yield self._frame({**role, "content": text}, None)

    def end(self, ended: LeaseEnded) -> Iterable[bytes]:
        if self._is_first:
            yield from self.text("")
        yield self._frame({}, ended.reason.value)
        if self._with_usage:
            yield _event({**self._head.fields("chat.completion.chunk"), "choices": [], "usage": usage(ended)})
        yield b"data: [DONE]\n\n"

    def failed(self, message: str) -> Iterable[bytes]:
        yield _event(openai_envelope(500, message))

    def _frame(self, delta: dict[str, str], reason: str | None) -> bytes:
        choice = {"index": 0, "delta": delta, "finish_reason": reason}
        return _event({**self._head.fields("chat.completion.chunk"), "choices": [choice]})


def _event(body: object) -> bytes:
    return b"data: " + msgspec.json.encode(body) + b"\n\n"
