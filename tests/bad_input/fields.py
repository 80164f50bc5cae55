"""Every field of every request with every wrong type, made from the structs that the product decodes bodies into.

A field of a plain type gets its rows by itself. One of any type, and one that is or holds a number, must have rows in
`tests.bad_input.values`: a new one without them fails the test that makes the table.
"""

from collections.abc import Iterator
from typing import Any

import msgspec
from msgspec import inspect

from service.http.ollama.chat import ChatBody
from service.http.ollama.generate import GenerateBody
from service.http.ollama.show import ShowBody
from service.http.openai.asking import ChatCompletionsBody
from tests.bad_input.rows import TURN, Row, row
from tests.bad_input.values import NUMBERS, OF_ANY_TYPE, TEXTS, Wrong

BODIES: dict[str, type[msgspec.Struct]] = {
    "/api/generate": GenerateBody,
    "/api/chat": ChatBody,
    "/api/show": ShowBody,
    "/v1/chat/completions": ChatCompletionsBody,
}
"""Of each route that takes one."""

SAMPLES: dict[str, Any] = {"str": "x", "int": 5, "float": 1.5, "bool": True, "array": [], "object": {}}
ACCEPTED: dict[type[inspect.Type], tuple[str, ...]] = {
    inspect.StrType: ("str",),
    inspect.BoolType: ("bool",),
    inspect.IntType: ("int",),
    inspect.FloatType: ("float", "int"),
    inspect.ListType: ("array",),
    inspect.VarTupleType: ("array",),
    inspect.DictType: ("object",),
    inspect.StructType: ("object",),
}
"""Which samples a field of a type takes; the first one is what it is called."""

Place = tuple[str | int, ...]
"""Where a field stands in a body: ``("messages", 0, "role")``."""


def rows() -> Iterator[Row]:
    """Every field of every route."""
    for path, body in BODIES.items():
        for place, value, status, message in wrong_fields(body, ()):
            yield row(f"{shown(place)} {value!r:.40}", path, changed(place, value), status, message)
    for path, name, value, status, message in TEXTS:
        yield row(f"{name} {value!r:.40}", path, {name: value}, status, message)


def wrong_fields(struct: type[msgspec.Struct], place: Place) -> Iterator[tuple[Place, Any, int, str]]:
    """Each field of a struct, and of those inside it: its place, a value, status and message."""
    info = inspect.type_info(struct)
    assert isinstance(info, inspect.StructType)
    for field in info.fields:
        name = field.encode_name
        kind, or_null = _without_null(field.type)
        for value, status, message in _special(struct.__name__, name, kind):
            yield (*place, name), value, status, message
        yield from _wrong_types((*place, name), kind, or_null)


def _special(struct: str, name: str, kind: inspect.Type) -> Wrong:
    """The rows that a table must have for this field."""
    item = kind.item_type if isinstance(kind, inspect.ListType | inspect.VarTupleType) else kind
    if isinstance(kind, inspect.AnyType):
        assert (struct, name) in OF_ANY_TYPE, f"{name} of {struct} may be anything: say which values it refuses"
        return OF_ANY_TYPE[struct, name]
    if isinstance(item, inspect.IntType | inspect.FloatType):
        assert (struct, name) in NUMBERS, f"{name} of {struct} is a number: say which ones it refuses"
        return NUMBERS[struct, name]
    return []


def _wrong_types(place: Place, kind: inspect.Type, or_null: str) -> Iterator[tuple[Place, Any, int, str]]:
    """A value of each type that the field is not, and the same inside it."""
    if isinstance(kind, inspect.AnyType):
        return
    accepted = ACCEPTED[type(kind)]
    for name in SAMPLES.keys() - set(accepted):
        message = f"invalid request: Expected `{accepted[0]}{or_null}`, got `{name}` - at `{shown(place)}`"
        yield place, SAMPLES[name], 400, message
    if isinstance(kind, inspect.StructType):
        yield from wrong_fields(kind.cls, place)
    if isinstance(kind, inspect.ListType | inspect.VarTupleType):
        yield from _wrong_types((*place, 0), kind.item_type, "")


def _without_null(kind: inspect.Type) -> tuple[inspect.Type, str]:
    """The type of a field that may be null, and how messages say so."""
    if not isinstance(kind, inspect.UnionType):
        return kind, ""
    (known,) = (one for one in kind.types if not isinstance(one, inspect.NoneType))
    return known, " | null"


def shown(place: Place) -> str:
    """A place as messages write it."""
    return "$" + "".join(f"[{step}]" if isinstance(step, int) else f".{step}" for step in place)


def changed(place: Place, value: Any) -> dict[str, Any]:
    """The changes to a good body that put ``value`` there."""
    name, *rest = place
    return {str(name): _inside(rest, value)}


def _inside(place: list[str | int], value: Any) -> Any:
    match place:
        case []:
            return value
        case [0]:
            return [value]
        case [0, *rest]:
            return [{**TURN, **changed(tuple(rest), value)}]
        case _:
            return changed(tuple(place), value)
