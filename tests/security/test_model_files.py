"""Files of strangers, in the classes of bugs that other readers had: each is refused, or read within its bounds.

The cases by hand are in `tests.factory.hostile`; here is what they stand for, and real files with random damage.
"""

import os
import random
import struct
from collections.abc import Callable
from dataclasses import replace
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from gguf import GGMLQuantizationType
from hypothesis import given, settings
from hypothesis import strategies as st

from runner.facts import limits
from runner.facts.errors import BadModelFile
from service.environment import EnvironmentClass
from service.processes import RunnerProcesses
from statemachines.facts import ModelFacts
from statemachines.wire.link import Task
from statemachines.wire.messages import FactsRead, FactsRefused, ReadFacts
from tests.bad_input.files import HEADER_CUT, LONG_ARRAY, NOT_WHOLE, OTHER_KINDS, TOO_MANY_TENSORS, unusable
from tests.factory.broken import header_bytes
from tests.factory.hostile import HUGE, WRAPS
from tests.factory.random_model import random_model
from tests.factory.raw import Key, Kind, array, number, string, valid
from tests.fakes.runner_talk import Talk
from tests.runner.facts.files import read, refused

INTERESTING = [0, 1, 31, 32, 255, (1 << 31) - 1, 1 << 31, (1 << 32) - 1, 1 << 62, (1 << 63) - 1, (1 << 64) - 1]


@pytest.mark.parametrize("size", [0, 1, 3, 4, 5, 8])
def test_cve_2024_39720_a_file_of_four_bytes_is_an_error_and_no_crash(size: int, tmp_path: Path) -> None:
    with refused(HEADER_CUT):
        read(tmp_path, b"GGUF\3\0\0\0"[:size])


@pytest.mark.parametrize(
    "key",
    [
        "attention.head_count",
        "attention.head_count_kv",
        "embedding_length",
        "block_count",
        "context_length",
        "vision.patch_size",
        "expert_count",
        "ssm.conv_kernel",
        "attention.sliding_window_pattern",
        "attention.key_length",
    ],
)
def test_cve_2024_8063_cve_2025_0317_no_zero_in_a_file_divides(key: str, tmp_path: Path) -> None:
    file = valid().having(number(f"llama.{key}", 0), number("llama.attention.sliding_window", 4))
    assert isinstance(outcome(tmp_path, file.encode()), ModelFacts | str)


@pytest.mark.parametrize("count", [HUGE, WRAPS, 1 << 32, 1 << 20])
@pytest.mark.parametrize("kind", [Kind.UINT8, Kind.FLOAT64, Kind.STRING])
def test_cve_2024_12055_no_length_reads_beyond_the_file(kind: Kind, count: int, tmp_path: Path) -> None:
    with refused(LONG_ARRAY):
        read(tmp_path, valid().having(Key(b"x", Kind.ARRAY, array(kind, [], count=count))), with_arrays=True)


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda: replace(valid(), tensors_count=limits.TENSORS_MAX + 1), TOO_MANY_TENSORS),
        (
            lambda: valid().having(Key(b"x", Kind.STRING, string(b"", length=HUGE))),
            "a text in its metadata is too long",
        ),
        (lambda: valid().having(number("llama.block_count", limits.LAYERS_MAX + 1)), "more layers than any model has"),
    ],
)
def test_cve_2025_0315_a_count_is_compared_with_a_limit_before_anything_is_made(
    make: Callable[[], object], words: str, tmp_path: Path
) -> None:
    """What the whole process takes at most is measured in tests/runner/facts/test_bounds.py."""
    with refused(words):
        read(tmp_path, make())  # type: ignore[arg-type]  # a RawFile


@pytest.mark.parametrize("name", ["a compressed file", "an archive"])
def test_cve_2024_45436_go_2025_3548_nothing_is_unpacked(name: str, tmp_path: Path) -> None:
    with refused("it is not a GGUF file"):
        read(tmp_path, OTHER_KINDS[name])


@pytest.mark.parametrize("name", sorted({key.name.decode() for key in valid().keys}))
def test_go_2025_3582_a_value_that_is_not_there_is_an_error_or_a_default(name: str, tmp_path: Path) -> None:
    assert isinstance(outcome(tmp_path, valid().without(name.encode()).encode()), ModelFacts | str)


@pytest.mark.parametrize("offset", [1 << 30, 1 << 62, (1 << 64) - 32])
def test_cve_2026_7482_no_tensor_reaches_beyond_its_file(offset: int, tmp_path: Path) -> None:
    file = valid()
    for index, row in enumerate(file.tensors):
        rows = (*file.tensors[:index], replace(row, offset=offset), *file.tensors[index + 1 :])
        with refused(NOT_WHOLE):
            read(tmp_path, replace(file, tensors=rows))


@pytest.mark.parametrize("dimensions", [(1 << 32, 1 << 32), (1 << 62, 4), (1 << 63, 2), (3, 1 << 63), (1 << 16,) * 4])
def test_cve_2026_27940_cve_2025_53630_sizes_that_overflow_elsewhere_are_compared_here(
    dimensions: tuple[int, ...], tmp_path: Path
) -> None:
    file = valid()
    rows = (replace(file.tensors[0], dimensions=dimensions), *file.tensors[1:])
    with refused("impossible size"):
        read(tmp_path, replace(file, tensors=rows))


def outcome(folder: Path, data: bytes, *, with_arrays: bool = False) -> ModelFacts | str:
    """Facts, or the words of a refusal; anything else is raised."""
    try:
        return read(folder, data, with_arrays=with_arrays)
    except BadModelFile as error:
        return str(error)


@cache
def real_file() -> tuple[bytes, int]:
    """A real quantised model, and how long its header is."""
    with TemporaryDirectory() as folder:
        path = random_model(Path(folder) / "m.gguf", weights=GGMLQuantizationType.Q4_0)
        return path.read_bytes(), header_bytes(path)


@st.composite
def damaged(draw: st.DrawFn) -> bytes:
    """A real file with a few bytes, numbers, or pieces of its header made wrong."""
    whole, header = real_file()
    data = bytearray(whole)
    for at in draw(st.lists(st.integers(0, header - 9), min_size=1, max_size=4)):
        change = draw(st.integers(0, 3))
        if change == 0:
            data[at] = draw(st.integers(0, 255))
        elif change == 1:
            data[at : at + 8] = struct.pack("<Q", draw(st.sampled_from(INTERESTING)))
        elif change == 2:
            del data[at : at + draw(st.integers(1, 64))]
        else:
            data[at:at] = draw(st.binary(min_size=1, max_size=16))
    return bytes(data[: draw(st.one_of(st.just(len(data)), st.integers(0, len(data))))])


@settings(max_examples=300, deadline=None)
@given(damaged(), st.booleans())
def test_cve_2026_27940_a_damaged_real_file_gives_facts_or_a_refusal(data: bytes, with_arrays: bool) -> None:
    with TemporaryDirectory() as folder:
        found = outcome(Path(folder), data, with_arrays=with_arrays)
    assert "secret-path" not in found if isinstance(found, str) else found.sizes.file_bytes == len(data)


DAMAGED_FILES = 200


async def test_cve_2024_39720_a_reader_process_survives_every_damaged_file(tmp_path: Path) -> None:
    """Two hundred of them, one after the other, by the very process that the service starts."""
    chance, (whole, header) = random.Random(0), real_file()
    answers: list[str] = []
    async with RunnerProcesses().spawn(EnvironmentClass(Task.FACTS)) as process:
        talk = Talk(process, Task.FACTS)
        await talk.greet()
        for number in range(DAMAGED_FILES):
            path = tmp_path / f"secret-{number}.gguf"
            path.write_bytes(_with_damage(whole, header, chance))
            await talk.send(ReadFacts((str(path),), with_arrays=bool(number % 2)))
            answer = await talk.hear()
            assert isinstance(answer, FactsRead | FactsRefused), number
            if isinstance(answer, FactsRefused):
                answers.append(answer.refusal.message)
            path.unlink()
    assert len(answers) > DAMAGED_FILES // 2, "else the damage does not hit what is read"
    assert not [text for text in answers if "secret" in text or os.sep in text]
    assert set(answers) > {unusable(NOT_WHOLE)}


def _with_damage(whole: bytes, header: int, chance: random.Random) -> bytes:
    data = bytearray(whole)
    for _ in range(chance.randint(1, 3)):
        at = chance.randrange(header - 8)
        data[at : at + 8] = struct.pack("<Q", chance.choice(INTERESTING))
    return bytes(data[: chance.choice([len(data), chance.randrange(len(data))])])
