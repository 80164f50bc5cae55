"""What an abort of the engine means. Out of memory has many faces, and this one would look like a crash.

Large buffers that cannot be allocated make a load fail in good order. Small ones (the bookkeeping of a graph, tens of
megabytes) make an assertion fail, and an assertion aborts the process. The engine tells a callback first, and its log
has said before what went wrong: then the process ends with the status that means out of memory.

A device that runs out of memory ends the process in the same way, also where it answers.
"""

from runner.ending import leave
from runner.llama.failure import is_out_of_memory
from runner.llama.log import EngineLog
from statemachines.wire.exits import ExitStatus

LAST_ERRORS = 3
"""How far back the reason of an abort may lie: ggml's `ggml_cuda_error` logs what is wrong, then where, then which
statement it was, and aborts."""


class Abort:
    """The engine's callback: returns to let the process abort, or ends it with a better status."""

    def __init__(self, log: EngineLog) -> None:
        self._log = log

    def __call__(self, message: str) -> None:
        last_errors = self._log.kept_texts("error")[-LAST_ERRORS:]
        self._log.note("error", message)
        if is_out_of_memory(last_errors):
            leave(ExitStatus.OUT_OF_MEMORY, "the engine could not allocate memory and gave up")
