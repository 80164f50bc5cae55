"""What a failed load means, read from the engine's log: the only place where the engine says so.

The words that go to the service name no path and quote nothing of the log.
"""

import re
from collections.abc import Iterable

from statemachines.facts import LoadFailure

_OUT_OF_MEMORY = re.compile(
    r"cannot allocate memory|unable to allocate|(failed|attempted) to allocate|bad_alloc|(out of|not enough) memory",
    re.I,
)
_UNSUPPORTED = re.compile(r"unknown model architecture|unknown pre-tokenizer type|unknown tokenizer", re.I)


class LoadError(Exception):
    """The load failed: the kind says whether another try can help, the message what happened."""

    def __init__(self, kind: LoadFailure, message: str) -> None:
        super().__init__(message)
        self.kind = kind


def classify(texts: Iterable[str], otherwise: LoadFailure) -> LoadError:
    """What the engine's log says of a failed load; `otherwise` when it says nothing that we know."""
    lines = list(texts)
    kind = otherwise
    if is_out_of_memory(lines):
        kind = LoadFailure.OUT_OF_MEMORY
    elif any(map(_UNSUPPORTED.search, lines)):
        kind = LoadFailure.UNSUPPORTED
    return LoadError(kind, _MESSAGES[kind])


_MESSAGES = {
    LoadFailure.OUT_OF_MEMORY: "the engine could not allocate the memory that the model needs; "
    "ask for a smaller context, free some memory, or use a smaller model",
    LoadFailure.UNSUPPORTED: "this engine does not know the model's architecture or tokenizer; "
    "use a newer engine or another model",
    LoadFailure.BAD_FILE: "the engine rejected the model file as damaged or incomplete; get the file again",
    LoadFailure.ENGINE: "the engine could not set up a context for the model; the server's log has its reason",
}


def is_out_of_memory(texts: Iterable[str]) -> bool:
    """Whether one of these lines says that memory could not be had."""
    return any(map(_OUT_OF_MEMORY.search, texts))
