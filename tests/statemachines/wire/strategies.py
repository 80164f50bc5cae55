"""Hypothesis strategies for everything that can cross the link, read off the types."""

from enum import Enum
from types import NoneType, UnionType
from typing import Annotated, Any, Union, get_args, get_origin

import msgspec
from hypothesis import strategies as st

from statemachines.wire.messages import Message, ToRunner, ToService

_LEAVES: dict[Any, st.SearchStrategy[Any]] = {
    int: st.integers(-(2**63), 2**63 - 1),
    float: st.floats(allow_nan=False),
    str: st.text(st.characters(exclude_categories=["Cs"]), max_size=20),
    bool: st.booleans(),
    NoneType: st.none(),
}
_SMALL = 3


def values(kind: Any) -> st.SearchStrategy[Any]:
    """Values of an annotated type, as small as shrinking likes them."""
    if kind in _LEAVES:
        return _LEAVES[kind]
    if hasattr(kind, "__supertype__"):
        return values(kind.__supertype__)
    if isinstance(kind, type) and issubclass(kind, msgspec.Struct):
        return st.builds(kind, **{field.name: values(field.type) for field in msgspec.structs.fields(kind)})
    if isinstance(kind, type) and issubclass(kind, Enum):
        return st.sampled_from(kind)
    return _containers(kind)


def _containers(kind: Any) -> st.SearchStrategy[Any]:
    origin, inner = get_origin(kind), get_args(kind)
    if origin is Annotated and inner[0] is int:
        return st.integers(inner[1].ge, inner[1].le)
    if origin in (Union, UnionType):
        return st.one_of(*map(values, inner))
    if origin is tuple:
        return st.lists(values(inner[0]), max_size=_SMALL).map(tuple)
    if origin is list:
        return st.lists(values(inner[0]), max_size=_SMALL)
    if origin is dict:
        return st.dictionaries(values(inner[0]), values(inner[1]), max_size=_SMALL)
    raise NotImplementedError(f"no strategy for {kind}")


def kinds(union: Any) -> tuple[type[Message], ...]:
    """The messages of one of the two unions."""
    return get_args(union)


TO_RUNNER: st.SearchStrategy[ToRunner] = values(ToRunner)
TO_SERVICE: st.SearchStrategy[ToService] = values(ToService)
EITHER: st.SearchStrategy[Message] = TO_RUNNER | TO_SERVICE
