"""Messages as bytes and back, without any I/O: what is read is fed in, what is to be written comes out.

Theory of operation. A message is one msgspec struct, packed with MessagePack and tagged with its name. It travels in
one or more frames: five bytes of header (a flag byte and the payload's length), then the payload. A message larger
than a frame travels as several: all but the last are full and carry the flag `MORE`. There is one way to cut a
message and every frame brings at least one byte, so the number of frames is bounded by the length of the message.

Every length is checked before anything is kept: a header that announces too much is refused before its payload
comes. A decoder that has refused something is broken for good; the bytes after an error mean nothing.

What fails is on one of two sides: `LocalWireError` says that we tried to send what cannot be sent (a bug here),
`RemoteWireError` that the other end sent what must not be sent (that incarnation is killed).
"""

from collections.abc import Iterator
from struct import Struct
from typing import Any, Generic, TypeVar

import msgspec

from statemachines.decoding import UNDECODABLE
from statemachines.errors import LocalWireError, RemoteWireError
from statemachines.units import MIB, format_bytes
from statemachines.wire.messages import Message

M = TypeVar("M")

HEADER = Struct(">BI")
"""Flags, then the payload's length [bytes], big-endian as network protocols have it."""
MORE = 0x01
"""The message goes on in the next frame."""


class FrameLimits(msgspec.Struct, frozen=True):
    """The largest things that may cross the link; equal on both ends.

    Attributes:
        frame_bytes_max: payload of one frame [bytes].
        message_bytes_max: one message over all its frames [bytes]: a request body of 64 MiB and its wrapping.
    """

    frame_bytes_max: int = 16 * MIB
    message_bytes_max: int = 65 * MIB


LIMITS = FrameLimits()


def encode(message: Message, limits: FrameLimits = LIMITS) -> bytes:
    """One message as the bytes of all its frames.

    Raises:
        LocalWireError: the message cannot be packed (a number beyond 64 bits, half a surrogate pair) or is too large.
    """
    try:
        packed = msgspec.msgpack.encode(message)
    except (TypeError, ValueError, OverflowError, RecursionError) as error:
        raise LocalWireError(f"{type(message).__name__} cannot be packed: {error}") from error
    if len(packed) > limits.message_bytes_max:
        raise LocalWireError(f"{type(message).__name__} is too large: {_too_many(len(packed), limits)}")
    return b"".join(_frames(memoryview(packed), limits.frame_bytes_max))


def _frames(packed: memoryview, frame_bytes_max: int) -> Iterator[bytes | memoryview]:
    for start in range(0, len(packed), frame_bytes_max):
        payload = packed[start : start + frame_bytes_max]
        is_last = start + frame_bytes_max >= len(packed)
        yield HEADER.pack(0 if is_last else MORE, len(payload))
        yield payload


def _too_many(size_bytes: int, limits: FrameLimits) -> str:
    return f"{format_bytes(size_bytes)}, and at most {format_bytes(limits.message_bytes_max)} may be sent"


class Decoder(Generic[M]):
    """Takes bytes as they come, in pieces of any size, and gives the messages that they complete.

    Args:
        union: the messages that the other side may send.

    Invariant: between two calls it keeps less than one frame and one message.
    """

    def __init__(self, union: Any, limits: FrameLimits = LIMITS) -> None:
        self._unpack: msgspec.msgpack.Decoder[M] = msgspec.msgpack.Decoder(union)
        self._limits = limits
        self._unread = bytearray()
        self._parts = bytearray()
        self._is_broken = False

    def feed(self, data: bytes) -> list[M]:
        """The messages that are complete with ``data``.

        Raises:
            RemoteWireError: the bytes are no frames, or no messages. Messages before the error are lost: the other
                end cannot be trusted about them either.
        """
        if self._is_broken:
            raise RemoteWireError("nothing is read any more after an error on the link")
        self._unread += data
        try:
            return list(self._messages())
        except RemoteWireError:
            self._is_broken = True
            raise

    def feed_eof(self) -> None:
        """The other end has closed.

        Raises:
            RemoteWireError: it closed in the middle of a message.
        """
        if self._unread or self._parts:
            raise RemoteWireError("the link ended in the middle of a message")

    def _messages(self) -> Iterator[M]:
        while (frame := self._next_frame()) is not None:
            flags, payload = frame
            self._parts += payload
            if not flags & MORE:
                packed, self._parts = self._parts, bytearray()
                yield self._unpacked(packed)

    def _next_frame(self) -> tuple[int, bytes] | None:
        if len(self._unread) < HEADER.size:
            return None
        flags, payload_bytes = HEADER.unpack_from(self._unread)
        self._check(flags, payload_bytes)
        end = HEADER.size + payload_bytes
        if len(self._unread) < end:
            return None
        payload = bytes(self._unread[HEADER.size : end])
        del self._unread[:end]
        return flags, payload

    def _check(self, flags: int, payload_bytes: int) -> None:
        if flags & ~MORE:
            raise RemoteWireError(f"a frame with unknown flags {flags:#04x}")
        if not 0 < payload_bytes <= self._limits.frame_bytes_max:
            raise RemoteWireError(f"a frame of {payload_bytes} bytes")
        if flags & MORE and payload_bytes != self._limits.frame_bytes_max:
            raise RemoteWireError(f"a frame of {payload_bytes} bytes that is not the last of its message")
        size_bytes = len(self._parts) + payload_bytes
        if size_bytes > self._limits.message_bytes_max:
            raise RemoteWireError(f"a message that is too large: {_too_many(size_bytes, self._limits)}")

    def _unpacked(self, packed: bytearray) -> M:
        try:
            return self._unpack.decode(packed)
        except UNDECODABLE as error:
            raise RemoteWireError(f"a frame that holds no message: {error}") from error
