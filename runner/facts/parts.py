"""Split models: several files that say of themselves which part of how many they are."""

from collections.abc import Sequence

import msgspec

from runner.facts.errors import bad_file
from runner.facts.header import Header, Tensor, read_header
from runner.facts.limits import PARTS_MAX, TENSORS_MAX
from runner.facts.values import Array
from statemachines.facts import Scalar

SPLIT_NO, SPLIT_COUNT, SPLIT_TENSORS = "split.no", "split.count", "split.tensors.count"


def read_parts(paths: Sequence[str], *, with_arrays: bool = False) -> tuple[Header, ...]:
    """The headers of all parts in order; only the first part's values are kept.

    Raises:
        BadModelFile: a part is unusable, is not the part that its place says, or parts are missing.
    """
    if not 0 < len(paths) <= PARTS_MAX:
        raise bad_file(f"it comes in {len(paths)} parts; 1 to {PARTS_MAX} are possible")
    headers: list[Header] = []
    tensors_left = TENSORS_MAX
    for no, path in enumerate(paths):
        header = read_header(path, with_arrays=with_arrays and not no)
        _check_place(header.values, no, len(paths))
        tensors_left -= len(header.tensors)
        if tensors_left < 0:
            raise bad_file("its parts hold more tensors than any model's")
        headers.append(msgspec.structs.replace(header, values={}) if no else header)
    _check_tensors(headers)
    return tuple(headers)


def _check_place(values: dict[str, Scalar | Array], no: int, count: int) -> None:
    """A part says where it stands; a file that says nothing is whole."""
    stated_count = values.get(SPLIT_COUNT, 1) or 1
    if stated_count != count or isinstance(stated_count, bool):
        raise bad_file(f"it says that it has {_shown(stated_count)} parts, and {count} are there")
    if count > 1 and values.get(SPLIT_NO, 0) != no:
        raise bad_file(f"part {no + 1} of it says that it is another part")


def _check_tensors(headers: list[Header]) -> None:
    """No tensor is in two parts, and there are as many as the first part promises."""
    names: dict[str, Tensor] = {tensor.name: tensor for header in headers for tensor in header.tensors}
    count = sum(len(header.tensors) for header in headers)
    if len(names) < count:
        raise bad_file("a tensor in it appears in two parts")
    if headers[0].values.get(SPLIT_TENSORS, count) != count and len(headers) > 1:
        raise bad_file("its parts do not hold the tensors that the first one promises")


def _shown(value: Scalar | Array) -> str:
    return str(value) if isinstance(value, int) else "an impossible number of"
