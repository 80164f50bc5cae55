"""Typed access to the metadata of one architecture: a key of the wrong type or range is an error, not a surprise."""

from runner.facts.errors import BadModelFile, bad_file
from runner.facts.limits import WIDTH_MAX
from runner.facts.values import Array
from statemachines.facts import Scalar


class Keys:
    """The metadata of one file; names are those after ``<architecture>.``."""

    def __init__(self, values: dict[str, Scalar | Array]) -> None:
        self.values = values
        self.architecture = self.text("general.architecture")
        if not self.architecture:
            raise bad_file("it does not name its architecture")

    def text(self, key: str) -> str:
        """A string under its full name, or an empty one."""
        value = self.values.get(key, "")
        if not isinstance(value, str):
            raise _wrong(key, "text")
        return value

    def number(self, key: str, default: int = 0) -> int:
        """A count under its full name."""
        return _count(key, self.values.get(key, default))

    def has(self, name: str) -> bool:
        return self._full(name) in self.values

    def count(self, name: str, default: int = 0) -> int:
        """One count; where the file has one per layer, the largest."""
        return max(self.counts(name, default), default=default)

    def per_layer(self, name: str, layers: int, default: int = 0) -> tuple[int, ...]:
        """One count for each layer; a single one stands for all, and a short list ends in zeros."""
        counts = self.counts(name, default)
        if not isinstance(self.values.get(self._full(name)), Array):
            return counts * layers
        return (counts + (0,) * layers)[:layers]

    def is_list(self, name: str) -> bool:
        return isinstance(self.values.get(self._full(name)), Array)

    def _full(self, name: str) -> str:
        return f"{self.architecture}.{name}"

    def counts(self, name: str, default: int = 0) -> tuple[int, ...]:
        """All that the file lists under a name, or the one count that it gives."""
        key = self._full(name)
        value = self.values.get(key, default)
        if not isinstance(value, Array):
            return (_count(key, value),)
        if value.values is None:
            raise _wrong(key, "a list with one whole number for each layer")
        return tuple(_count(key, element) for element in value.values)

    def array_length(self, key: str) -> int:
        """Elements of an array under its full name; 0 when it is not there."""
        value = self.values.get(key)
        return value.length if isinstance(value, Array) else 0


def _count(key: str, value: Scalar | Array) -> int:
    """A whole number from 0 on; true and false count as 1 and 0 (patterns are written either way)."""
    if not isinstance(value, int) or not 0 <= value <= WIDTH_MAX:
        raise _wrong(key, "a whole number that can be a size")
    return int(value)


def _wrong(key: str, expected: str) -> BadModelFile:
    return bad_file(f"its value {_printable(key)} is not {expected}")


def _printable(key: str) -> str:
    """A key for a message: the file chose it, so it is quoted and cut."""
    return ascii(key[:80])
