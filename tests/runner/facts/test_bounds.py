"""Files made to cost memory: read in a real process, whose peak the kernel knows."""

import struct
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from runner.facts import limits
from statemachines.units import KIB, MIB
from tests.factory.raw import string
from tests.runner.facts.files import write

PEAK_BYTES_MAX = 64 * MIB
READ = """
import re, sys
from runner.facts.errors import BadModelFile
from runner.facts.reader import read_facts
try:
    read_facts([sys.argv[1]])
except BadModelFile as refused:
    print(re.search(r"VmHWM:\\s+(\\d+) kB", open("/proc/self/status").read())[1])
    print(refused)
"""


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


@pytest.mark.skipif(sys.platform != "linux", reason="the peak is read from /proc")
@pytest.mark.parametrize("make", [_texts, _many_keys, _small_arrays, _many_tensors, _empty_strings])
def test_a_file_made_to_cost_memory_is_refused_within_the_bound(make: Callable[[], bytes], tmp_path: Path) -> None:
    path = write(tmp_path, make())
    process = subprocess.run([sys.executable, "-P", "-c", READ, path], capture_output=True, text=True, check=True)
    peak_kib, refusal = process.stdout.splitlines()
    assert int(peak_kib) * KIB <= PEAK_BYTES_MAX, f"{peak_kib} KiB for: {refusal}"
