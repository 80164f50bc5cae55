"""Files on disk from bytes, and what the reader makes of them."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import msgspec
import pytest

from runner.facts.errors import BadModelFile
from runner.facts.reader import read_facts
from statemachines.errors import RefusalCode
from statemachines.facts import ModelFacts
from tests.factory.raw import RawFile


def write(folder: Path, file: RawFile | bytes, name: str = "secret-path.gguf") -> str:
    path = folder / name
    path.write_bytes(file.encode() if isinstance(file, RawFile) else file)
    return str(path)


def read(folder: Path, file: RawFile | bytes, *, with_arrays: bool = False) -> ModelFacts:
    """What the service gets to know: arrays travel packed."""
    return unpacked(read_facts([write(folder, file)], with_arrays=with_arrays))


def unpacked(facts: ModelFacts) -> ModelFacts:
    return msgspec.msgpack.decode(msgspec.msgpack.encode(facts), type=ModelFacts)


@contextmanager
def refused(words: str = "model file", code: RefusalCode = RefusalCode.INVALID) -> Iterator[None]:
    """The body is refused with these words, and with nothing of the file's path."""
    with pytest.raises(BadModelFile, match=words) as caught:
        yield
    assert caught.value.code is code
    assert "secret-path" not in str(caught.value)
