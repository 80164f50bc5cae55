"""Files that are almost right, by structure: whatever is wrong, the answer is facts or a typed refusal."""

from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory

from hypothesis import given, settings
from hypothesis import strategies as st

from runner.facts.errors import BadModelFile
from runner.facts.reader import read_facts
from statemachines.errors import Refusal
from statemachines.facts import ModelFacts
from statemachines.wire.codec import encode
from statemachines.wire.messages import FactsRead
from tests.factory.raw import Key, Kind, RawFile, TensorRow, array, number, string, valid

INTERESTING = [0, 1, 2, 3, 31, 32, 63, 64, 255, 1 << 16, 1 << 31, (1 << 32) - 1, 1 << 62, (1 << 63) - 1, (1 << 64) - 1]
GOOD = valid()

u64 = st.one_of(st.sampled_from(INTERESTING), st.integers(0, (1 << 64) - 1))
u32 = u64.map(lambda value: value & 0xFFFFFFFF)
kinds = st.one_of(st.integers(0, 13), u32)
raw = st.binary(max_size=64)
known_names = st.sampled_from(
    [
        *(key.name for key in GOOD.keys),
        b"general.type",
        b"llama.attention.key_length",
        b"llama.attention.value_length",
        b"llama.attention.sliding_window",
        b"llama.attention.sliding_window_pattern",
        b"llama.attention.cross_attention_layers",
        b"llama.vision.image_size",
        b"llama.vision.patch_size",
        b"llama.expert_used_count",
        b"llama.ssm.inner_size",
        b"split.count",
        b"split.no",
    ]
)
names = st.one_of(known_names, raw)
numbers = st.builds(
    lambda name, value: number(name.decode("latin-1"), value, Kind.UINT64), known_names, st.sampled_from(INTERESTING)
)
number_lists = st.builds(
    lambda name, values: Key(name, Kind.ARRAY, array(Kind.UINT64, [value.to_bytes(8, "little") for value in values])),
    known_names,
    st.lists(st.sampled_from(INTERESTING), max_size=4),
)
strings = st.builds(lambda name, text, length: Key(name, Kind.STRING, string(text, length=length)), names, raw, u64)
arrays = st.builds(
    lambda name, kind, items, count: Key(name, Kind.ARRAY, array(kind, items, count=count)),
    names,
    kinds,
    st.lists(raw, max_size=3),
    st.one_of(st.none(), u64),
)
anything = st.builds(Key, names, kinds, raw)
keys = st.one_of(numbers, number_lists, strings, arrays, anything)
rows = st.builds(
    TensorRow,
    name=st.one_of(
        raw, st.sampled_from([b"blk.0.ssm_in.weight", b"blk.0.attn_q.weight", b"blk.9.x.weight", b"output.weight"])
    ),
    dimensions=st.lists(u64, max_size=5).map(tuple),
    type=kinds,
    offset=u64,
    dimensions_count=st.one_of(st.none(), u32),
)


@st.composite
def files(draw: st.DrawFn) -> bytes:
    """A valid file with a few things made wrong."""
    file = GOOD.having(*draw(st.lists(keys, max_size=3)))
    tensors = list(file.tensors)
    for row in draw(st.lists(rows, max_size=2)):
        tensors[draw(st.integers(0, len(tensors) - 1))] = row
    file = replace(file, tensors=tuple(tensors))
    counts: RawFile = replace(
        file,
        keys_count=draw(st.one_of(st.none(), st.none(), u64)),
        tensors_count=draw(st.one_of(st.none(), st.none(), u64)),
    )
    data = bytearray(counts.encode())
    for at, value in draw(st.lists(st.tuples(st.integers(0, len(data) - 1), st.integers(0, 255)), max_size=3)):
        data[at] = value
    return bytes(data[: draw(st.one_of(st.none(), st.integers(0, len(data))))])


@settings(max_examples=250, deadline=None)
@given(files(), st.booleans())
def test_a_damaged_file_gives_facts_or_a_refusal_and_nothing_else(data: bytes, with_arrays: bool) -> None:
    with TemporaryDirectory() as folder:
        path = Path(folder) / "fuzzed.gguf"
        path.write_bytes(data)
        facts = read_or_refuse(path, with_arrays=with_arrays)
    if isinstance(facts, ModelFacts):
        assert facts.sizes.file_bytes == len(data)
        assert encode(FactsRead(facts))
    else:
        assert "fuzzed" not in facts.message


def read_or_refuse(path: Path, *, with_arrays: bool) -> ModelFacts | Refusal:
    try:
        return read_facts([str(path)], with_arrays=with_arrays)
    except BadModelFile as refused:
        return refused.refusal
