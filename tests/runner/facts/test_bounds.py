"""Files made to cost memory: read and answered by the real process, whose peak the kernel knows."""

import os
import re
import socket
import struct
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from runner.facts import limits
from statemachines.errors import RefusalCode
from statemachines.units import KIB, MIB
from statemachines.wire.link import Task, service_link
from statemachines.wire.messages import PROTOCOL_VERSION, FactsRead, FactsRefused, Hello, ReadFacts
from tests.factory.raw import Key, Kind, RawFile, TensorRow, array, string, text, texts, valid
from tests.runner.facts.files import write

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="the peak is read from /proc")

PEAK_BYTES_MAX = 64 * MIB
MOST_ARRAY_BYTES = 3 * MIB - 32 * KIB
"""As packed, beside five MiB of text."""
SIDE = 257
"""The least that is an object of its own for each tensor."""


def _file(keys: int, tensors: int, pieces: Iterator[bytes]) -> bytes:
    return b"GGUF" + struct.pack("<IQQ", 3, tensors, keys) + b"".join(pieces)


def _pad(data: bytes, size: int = 32 * MIB) -> bytes:
    return data.ljust(size, b"\0")


def _texts() -> bytes:
    """Texts with one rare character each, which makes every other one of them four bytes long in memory."""
    rare = "\N{GRINNING FACE}".encode() + b"a" * (limits.STRING_BYTES_MAX - 4)
    return _file(12, 0, (string(b"k%d" % index) + struct.pack("<I", 8) + string(rare) for index in range(12)))


def _many_keys() -> bytes:
    count = limits.KEYS_MAX
    value = struct.pack("<IB", 0, 1)
    keys = (string(b"%d." % index + b"k" * (limits.KEY_BYTES_MAX - 8)) + value for index in range(count))
    return _file(count, 0, keys)


def _small_arrays() -> bytes:
    count = limits.KEYS_MAX
    length = limits.SMALL_ARRAY_ELEMENTS_MAX
    value = struct.pack("<IIQ", 9, 10, length) + b"\xff" * 8 * length
    return _file(count, 0, (string(b"%d" % index) + value for index in range(count)))


def _many_tensors() -> bytes:
    count = limits.TENSORS_MAX
    row = struct.pack("<I4QIQ", 4, 1, 1, 1, 1, 0, 1)
    names = (string(b"%d." % index + "\N{GRINNING FACE}".encode() * 14) + row for index in range(count))
    return _file(0, count, names)


def _empty_strings() -> bytes:
    return _pad(_file(1, 0, iter([string(b"k"), struct.pack("<IIQ", 9, 8, 3_900_000)])))


def _strings_of_one_letter() -> bytes:
    """Little in the file, much in memory."""
    count = 3 * MIB
    return _pad(_file(1, 0, iter([string(b"k"), struct.pack("<IIQ", 9, 8, count), string(b"\xff") * count])))


def _vocabulary() -> RawFile:
    """As large as real ones get: 150,000 tokens with scores and types, and 280,000 merges."""
    count = 150_000
    scores = [struct.pack("<f", -index) for index in range(count)]
    return valid().having(
        texts("tokenizer.ggml.tokens", [b"tok%06d" % index for index in range(count)]),
        texts("tokenizer.ggml.merges", [b"ab%04d cd%04d" % divmod(index, 1000) for index in range(280_000)]),
        Key(b"tokenizer.ggml.scores", Kind.ARRAY, array(Kind.FLOAT32, scores)),
        Key(b"tokenizer.ggml.token_type", Kind.ARRAY, array(Kind.INT32, [struct.pack("<i", 1)] * count)),
    )


def _much_of_everything(array_bytes: int) -> RawFile:
    """Texts, tensors and arrays, each close to its limit, and tensors as large in memory as the format allows."""
    longest = "a" * (limits.STRING_BYTES_MAX - 100)
    file = valid().having(
        *(text(f"text.{index}", longest) for index in range(5)), texts("list", [b"7 bytes"] * (array_bytes // 8))
    )
    count = limits.TENSORS_MAX - len(file.tensors)
    tail = b"x" * 52 + "\N{GRINNING FACE}".encode()
    rows = (TensorRow(b"%d." % index + tail, (SIDE, SIDE, 1, 1), 0, index * 32) for index in range(count))
    return replace(file, tensors=(*file.tensors, *rows))


def _sparse(folder: Path, file: RawFile) -> str:
    """The file with all the data that its tensors claim, which takes no place on the disk."""
    path = write(folder, file)
    os.truncate(path, limits.TENSORS_MAX * SIDE * SIDE * 4 + 32 * MIB)
    return path


def _ask(path: str, *, with_arrays: bool) -> tuple[FactsRead | FactsRefused, int]:
    """What the process answers to one question, and its peak once all of the answer is here [bytes]."""
    ours, theirs = socket.socketpair()
    command = [sys.executable, "-P", "-m", "runner", "facts", "--fd", str(theirs.fileno())]
    with (
        ours,
        theirs,
        subprocess.Popen(
            command, pass_fds=[theirs.fileno()], stdin=subprocess.DEVNULL, stderr=subprocess.DEVNULL
        ) as it,
    ):
        theirs.close()
        answer = _converse(ours, ReadFacts((path,), with_arrays))
        status = Path(f"/proc/{it.pid}/status").read_text()
        ours.close()
    peak = re.search(r"VmHWM:\s+(\d+) kB", status)
    assert peak
    return answer, int(peak[1]) * KIB


def _converse(sock: socket.socket, question: ReadFacts) -> FactsRead | FactsRefused:
    link = service_link(Task.FACTS)
    sock.sendall(link.send(Hello(PROTOCOL_VERSION, "test", os.getpid())))
    while True:
        data = sock.recv(MIB)
        assert data, "the process ended without an answer"
        for message in link.receive(data):
            if isinstance(message, FactsRead | FactsRefused):
                return message
            sock.sendall(link.send(question))


HOSTILE = [_texts, _many_keys, _small_arrays, _many_tensors, _empty_strings, _strings_of_one_letter]


@pytest.mark.parametrize("with_arrays", [False, True])
@pytest.mark.parametrize("make", HOSTILE)
def test_a_file_made_to_cost_memory_is_refused_within_the_bound(
    make: Callable[[], bytes], with_arrays: bool, tmp_path: Path
) -> None:
    answer, peak_bytes = _ask(write(tmp_path, make()), with_arrays=with_arrays)
    assert isinstance(answer, FactsRefused)
    assert peak_bytes <= PEAK_BYTES_MAX, f"{peak_bytes / MIB:.1f} MiB for: {answer.refusal.message}"


def test_the_values_of_a_large_vocabulary_are_answered_within_the_bound(tmp_path: Path) -> None:
    answer, peak_bytes = _ask(write(tmp_path, _vocabulary()), with_arrays=True)
    assert isinstance(answer, FactsRead)
    merges, scores = (answer.facts.metadata[f"tokenizer.ggml.{name}"] for name in ("merges", "scores"))
    assert isinstance(merges, list)
    assert (len(merges), merges[-1]) == (280_000, "ab0279 cd0999")
    assert isinstance(scores, list)
    assert scores[-1] == -149_999.0
    assert peak_bytes <= PEAK_BYTES_MAX, f"{peak_bytes / MIB:.1f} MiB"


@pytest.mark.parametrize("with_arrays", [False, True])
def test_the_most_that_is_served_is_answered_within_the_bound(with_arrays: bool, tmp_path: Path) -> None:
    path = _sparse(tmp_path, _much_of_everything(MOST_ARRAY_BYTES))
    answer, peak_bytes = _ask(path, with_arrays=with_arrays)
    assert isinstance(answer, FactsRead)
    assert peak_bytes <= PEAK_BYTES_MAX, f"{peak_bytes / MIB:.1f} MiB"


def test_more_arrays_than_one_answer_holds_are_refused_as_that(tmp_path: Path) -> None:
    path = _sparse(tmp_path, _much_of_everything(MOST_ARRAY_BYTES + MIB // 4))
    assert isinstance(_ask(path, with_arrays=False)[0], FactsRead), "nothing is wrong with the file"
    answer, peak_bytes = _ask(path, with_arrays=True)
    assert isinstance(answer, FactsRefused)
    assert answer.refusal.code is RefusalCode.NOT_SERVED
    assert "8.0 MiB" in answer.refusal.message
    assert "without 'verbose'" in answer.refusal.message
    assert peak_bytes <= PEAK_BYTES_MAX, f"{peak_bytes / MIB:.1f} MiB"
