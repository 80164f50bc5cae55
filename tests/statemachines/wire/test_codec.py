"""Framing: every message through the codec, cut in every way, and everything that must be refused."""

from itertools import cycle

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from statemachines.errors import LocalWireError, RemoteWireError
from statemachines.facts import SLOTS_MAX, AllocationReport, LoadedFacts
from statemachines.units import MIB
from statemachines.wire.codec import HEADER, LIMITS, MORE, Decoder, FrameLimits, encode
from statemachines.wire.messages import (
    Beat,
    Generate,
    Hello,
    LoadFailed,
    Message,
    Progress,
    Ready,
    TextPrompt,
    ToRunner,
    ToService,
)
from tests.statemachines.wire.samples import RUNNER_SAMPLES, SERVICE_SAMPLES
from tests.statemachines.wire.strategies import EITHER, TO_RUNNER, TO_SERVICE, kinds

SMALL = FrameLimits(frame_bytes_max=16, message_bytes_max=200)
ANY = ToRunner | ToService


def decoder(limits: FrameLimits = LIMITS) -> Decoder[Message]:
    return Decoder(ANY, limits)


def frame(payload: bytes, flags: int = 0) -> bytes:
    return HEADER.pack(flags, len(payload)) + payload


def test_there_is_a_sample_of_every_message() -> None:
    assert {type(message) for message in SERVICE_SAMPLES} == set(kinds(ToRunner))
    assert {type(message) for message in RUNNER_SAMPLES} == set(kinds(ToService))


@pytest.mark.parametrize("message", SERVICE_SAMPLES + RUNNER_SAMPLES, ids=lambda message: type(message).__name__)
def test_every_message_survives_a_cut_at_every_byte(message: Message) -> None:
    data = encode(message)
    for cut in range(len(data) + 1):
        reading = decoder()
        assert reading.feed(data[:cut]) + reading.feed(data[cut:]) == [message]
        reading.feed_eof()


@pytest.mark.parametrize("message", SERVICE_SAMPLES + RUNNER_SAMPLES, ids=lambda message: type(message).__name__)
def test_every_message_survives_small_frames_byte_by_byte(message: Message) -> None:
    limits = FrameLimits(frame_bytes_max=5, message_bytes_max=1000)
    reading = decoder(limits)
    heard = [found for byte in encode(message, limits) for found in reading.feed(bytes((byte,)))]
    assert heard == [message]


@given(
    messages=st.lists(EITHER, max_size=4),
    frame_bytes_max=st.integers(1, 64),
    sizes=st.lists(st.integers(1, 300), min_size=1, max_size=5),
)
def test_any_messages_survive_any_cuts(messages: list[Message], frame_bytes_max: int, sizes: list[int]) -> None:
    limits = FrameLimits(frame_bytes_max=frame_bytes_max)
    stream = b"".join(encode(message, limits) for message in messages)
    reading, heard = decoder(limits), []
    for size in cycle(sizes):
        heard += reading.feed(stream[:size])
        stream = stream[size:]
        if not stream:
            break
    reading.feed_eof()
    assert heard == messages


@given(TO_RUNNER)
def test_one_union_reads_its_own_messages(message: ToRunner) -> None:
    assert Decoder[ToRunner](ToRunner).feed(encode(message)) == [message]


@given(TO_SERVICE)
def test_the_other_union_refuses_them(message: ToService) -> None:
    reading = Decoder[ToRunner](ToRunner)
    if isinstance(message, Hello):
        assert reading.feed(encode(message)) == [message]
    else:
        with pytest.raises(RemoteWireError, match="holds no message"):
            reading.feed(encode(message))


def test_a_message_larger_than_a_frame_travels_in_as_many_as_it_needs() -> None:
    message = Generate(lease=1, prompt=TextPrompt("x" * (33 * MIB)))
    data = encode(message)
    flags = []
    rest = memoryview(data)
    while rest:
        flag, length = HEADER.unpack_from(rest)
        flags.append((flag, length == LIMITS.frame_bytes_max))
        rest = rest[HEADER.size + length :]
    assert flags == [(MORE, True), (MORE, True), (0, False)]
    assert decoder().feed(data) == [message]


def test_a_message_that_fills_its_frames_exactly_has_no_empty_last_one() -> None:
    packed = msgspec.msgpack.encode(Progress(200))
    limits = FrameLimits(frame_bytes_max=len(packed) // 2, message_bytes_max=len(packed))
    data = encode(Progress(200), limits)
    assert len(data) == len(packed) + 2 * HEADER.size
    assert decoder(limits).feed(data) == [Progress(200)]


def test_a_request_body_of_64_mib_fits_with_its_wrapping() -> None:
    message = Generate(lease=1, prompt=TextPrompt("x" * (64 * MIB)))
    assert decoder().feed(encode(message)) == [message]


def test_too_large_a_message_of_ours_is_our_error() -> None:
    with pytest.raises(LocalWireError, match="LoadFailed is too large"):
        encode(LoadFailed("engine", "x" * 200), SMALL)


@pytest.mark.parametrize(
    "message",
    [Beat(1 << 64, 1), LoadFailed("engine", "half a pair: \ud800"), Beat(object(), 1)],
    ids=["number", "text", "type"],
)
def test_a_message_that_cannot_be_packed_is_our_error(message: Message) -> None:
    with pytest.raises(LocalWireError, match="cannot be packed"):
        encode(message)


@pytest.mark.parametrize(
    ("data", "why"),
    [
        (HEADER.pack(0, 0), "frame of 0 bytes"),
        (HEADER.pack(0, 17), "frame of 17 bytes"),
        (HEADER.pack(0, 0xFFFFFFFF), "frame of 4294967295 bytes"),
        (HEADER.pack(2, 4), "unknown flags 0x02"),
        (HEADER.pack(0xFF, 4), "unknown flags 0xff"),
        (HEADER.pack(MORE, 15), "not the last"),
        (frame(bytes(16), MORE) * 13, "too large"),
        (frame(b"\xc1"), "holds no message"),
        (frame(b"\x81\xa2is\xa4Nope"), "holds no message"),
        (frame(b"\x80"), "holds no message"),
        (frame(b"\xdd\xff\xff\xff\xff"), "holds no message"),
    ],
)
def test_what_must_not_be_sent_is_their_error(data: bytes, why: str) -> None:
    with pytest.raises(RemoteWireError, match=why):
        decoder(SMALL).feed(data)


@pytest.mark.parametrize(
    "payload",
    [
        b"\x82\xa2is\xa4Beat\xa1x" + b"\x91" * 100_000,
        b"\x83\xa2is\xaaLoadFailed\xa4kind\xa6engine\xa7message\xa2\xff\xff",
        b"\x83\xa2is\xa6Tokens\xa4step\x01\xa6deltas\xdd\xff\xff\xff\xff",
        msgspec.msgpack.encode(Progress(1)) + b"\x00",
        *(
            msgspec.msgpack.encode(Ready(LoadedFacts(4096, slots), AllocationReport(), 1, 1))
            for slots in (0, -1, SLOTS_MAX + 1, 1 << 63)
        ),
    ],
    ids=["deep", "not utf-8", "four thousand million items", "more behind it", "0 slots", "-1", "too many", "2^63"],
)
def test_a_hostile_payload_is_their_error(payload: bytes) -> None:
    with pytest.raises(RemoteWireError, match="holds no message"):
        decoder().feed(frame(payload))


def test_a_length_is_refused_before_its_bytes_come() -> None:
    reading = decoder(SMALL)
    reading.feed(frame(bytes(16), MORE) * 12)
    with pytest.raises(RemoteWireError, match="too large"):
        reading.feed(HEADER.pack(0, 9))


def test_nothing_is_read_after_an_error() -> None:
    reading = decoder()
    with pytest.raises(RemoteWireError):
        reading.feed(HEADER.pack(0, 0))
    with pytest.raises(RemoteWireError, match="any more"):
        reading.feed(encode(Progress(1)))


@pytest.mark.parametrize("cut", [1, HEADER.size, HEADER.size + 16, HEADER.size + 17])
def test_an_end_in_the_middle_is_their_error(cut: int) -> None:
    reading = decoder(SMALL)
    assert reading.feed(encode(Progress(1), SMALL)[:cut]) == []
    with pytest.raises(RemoteWireError, match="middle of a message"):
        reading.feed_eof()


@given(st.lists(st.binary(max_size=64), max_size=8))
def test_garbage_is_never_anything_but_their_error(chunks: list[bytes]) -> None:
    reading = decoder(SMALL)
    try:
        for chunk in chunks:
            reading.feed(chunk)
        reading.feed_eof()
    except RemoteWireError:
        pass


@given(EITHER, st.data())
def test_a_damaged_message_is_another_message_or_their_error(message: Message, data: st.DataObject) -> None:
    damaged = bytearray(encode(message))
    for _ in range(data.draw(st.integers(1, 3))):
        damaged[data.draw(st.integers(0, len(damaged) - 1))] = data.draw(st.integers(0, 255))
    reading = decoder()
    try:
        assert all(isinstance(found, Message) for found in reading.feed(bytes(damaged)))
        reading.feed_eof()
    except RemoteWireError:
        pass
