"""Which tensors the engine copies into a rearranged form when they stay on a CPU, beside the mapped file.

A tensor is copied if its type has a fast form on this processor, its rows divide into groups, and it is used to
multiply (embedding tables are only looked up, unless the output shares them). Where in doubt the answer is yes: a
figure that is too low becomes an out-of-memory, one that is too high only a refusal that shows its sums.
"""

import functools
import platform
from collections.abc import Iterable
from pathlib import Path

from runner.facts.header import Tensor

X86_TYPES = frozenset({"Q4_0", "Q4_K", "Q2_K", "IQ4_NL", "MXFP4"})
"""With AVX2; Q2_K needs AVX-512. Measured on the pinned engine (docs/decisions/0009-host-memory-formula.md)."""
AMX_TYPES = frozenset({"Q4_0", "Q4_1", "Q8_0", "Q4_K", "Q5_K", "Q6_K", "IQ4_XS"})
"""Further ones on processors with matrix tiles."""
OTHER_TYPES = frozenset({"Q1_0", "Q2_K", "Q4_0", "Q4_K", "Q5_K", "Q6_K", "Q8_0", "IQ4_NL", "MXFP4"})
"""All types that the pinned engine has a fast form of, for processors that we have not measured."""

ROWS_GROUP = 4
"""The smallest group of rows that any fast form needs."""
LOOKED_UP = ("token_embd.weight", "position_embd.weight", "token_types.weight", "per_layer_token_embd.weight")
OUTPUT = "output.weight"


def repack_bytes(tensors: Iterable[Tensor], *, output_is_shared: bool) -> int:
    """Bytes of second copies that these tensors cost on this machine's CPU."""
    types = repacked_types()
    return sum(
        tensor.size_bytes
        for tensor in tensors
        if tensor.type.name in types and _is_multiplied(tensor, output_is_shared=output_is_shared)
    )


def _is_multiplied(tensor: Tensor, *, output_is_shared: bool) -> bool:
    if len(tensor.shape) < 2 or tensor.shape[1] % ROWS_GROUP:
        return False
    return tensor.name not in LOOKED_UP or (output_is_shared and tensor.name == LOOKED_UP[0])


@functools.cache
def repacked_types() -> frozenset[str]:
    """The types that this machine's CPU has a fast form of."""
    if platform.machine().lower() not in ("x86_64", "amd64"):
        return OTHER_TYPES
    return X86_TYPES | AMX_TYPES if _has_amx() else X86_TYPES


def _has_amx(cpuinfo: Path = Path("/proc/cpuinfo")) -> bool:
    try:
        return b"amx_int8" in cpuinfo.read_bytes()
    except OSError:
        return False
