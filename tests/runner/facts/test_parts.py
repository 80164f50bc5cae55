"""Split models: parts in their order, complete, and promising what they hold."""

from dataclasses import replace
from pathlib import Path

import pytest

from runner.facts import parts
from runner.facts.reader import read_facts
from tests.factory.raw import Kind, RawFile, number, valid
from tests.runner.facts.files import refused, write

WHOLE = valid()


def part(no: int, count: int, tensors: slice, promised: int = len(WHOLE.tensors)) -> RawFile:
    """A part of the valid model; all parts keep the whole data, which is simplest."""
    keys = WHOLE.keys if no == 0 else ()
    split = (
        number("split.no", no, Kind.UINT16),
        number("split.count", count, Kind.UINT16),
        number("split.tensors.count", promised, Kind.INT32),
    )
    return replace(WHOLE, keys=(*keys, *split), tensors=WHOLE.tensors[tensors])


def paths(folder: Path, *files: RawFile) -> list[str]:
    return [write(folder, file, f"secret-path-{index}.gguf") for index, file in enumerate(files)]


def test_the_parts_of_a_model_are_the_model(tmp_path: Path) -> None:
    split = paths(tmp_path, part(0, 3, slice(0, 2)), part(1, 3, slice(2, 5)), part(2, 3, slice(5, None)))
    facts, whole = read_facts(split), read_facts([write(tmp_path, WHOLE)])
    assert facts.parts == 3
    assert facts.tensors == whole.tensors
    assert facts.parameter_count == whole.parameter_count
    assert facts.sizes.layers == whole.sizes.layers
    assert facts.sizes.file_bytes == sum(Path(path).stat().st_size for path in split)


def test_a_first_part_may_hold_no_tensors(tmp_path: Path) -> None:
    facts = read_facts(paths(tmp_path, part(0, 2, slice(0, 0)), part(1, 2, slice(None))))
    assert len(facts.tensors) == len(WHOLE.tensors)


@pytest.mark.parametrize("count", [0, 1])
def test_a_whole_file_may_say_that_it_is_the_only_part(count: int, tmp_path: Path) -> None:
    file = WHOLE.having(number("split.count", count, Kind.UINT16))
    assert read_facts([write(tmp_path, file)]).parts == 1


def test_one_part_of_several_is_not_a_model(tmp_path: Path) -> None:
    with refused("has 2 parts, and 1 are there"):
        read_facts(paths(tmp_path, part(0, 2, slice(0, 2))))


def test_a_count_that_is_no_count_is_refused(tmp_path: Path) -> None:
    file = WHOLE.having(number("split.count", 2.0, Kind.FLOAT32))
    with refused("impossible number of parts"):
        read_facts([write(tmp_path, file)])
    with refused("True parts"):
        read_facts([write(tmp_path, WHOLE.having(number("split.count", True, Kind.BOOL)))])


def test_parts_in_the_wrong_order_are_refused(tmp_path: Path) -> None:
    first, second = part(0, 2, slice(0, 2)), part(1, 2, slice(2, None))
    with refused("part 1 of it"):
        read_facts(paths(tmp_path, second, first))


def test_a_tensor_in_two_parts_is_refused(tmp_path: Path) -> None:
    with refused("two parts"):
        read_facts(paths(tmp_path, part(0, 2, slice(0, 3)), part(1, 2, slice(2, None))))


def test_parts_that_do_not_hold_what_is_promised_are_refused(tmp_path: Path) -> None:
    with refused("promises"):
        read_facts(paths(tmp_path, part(0, 2, slice(0, 2), 99), part(1, 2, slice(2, None))))


def test_no_part_and_too_many_parts_are_refused() -> None:
    with refused("0 parts"):
        read_facts([])
    with refused("9999 parts"):
        read_facts(["x"] * 9999)


def test_the_limit_on_tensors_is_one_for_all_parts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(parts, "TENSORS_MAX", 3)
    with refused("more tensors"):
        read_facts(paths(tmp_path, part(0, 2, slice(0, 2)), part(1, 2, slice(2, None))))
