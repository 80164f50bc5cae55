"""What an abort of the engine means. Out of memory has many faces, and this one would look like a crash.

Large buffers that cannot be allocated make a load fail in good order. Small ones (the bookkeeping of a graph, tens of
megabytes) make an assertion fail, and an assertion aborts the process. The engine tells a callback first, and its log
has said before what went wrong: then the process ends with the status that means out of memory.
"""

from runner.ending import leave
from runner.llama.failure import is_out_of_memory
from runner.llama.log import EngineLog
from statemachines.wire.exits import ExitStatus


class Abort:
    """The engine's callback: returns to let the process abort, or ends it with a better status."""

    def __init__(self, log: EngineLog) -> None:
        self._log = log

    def __call__(self, message: str) -> None:
        last_errors = self._log.kept_texts("error")[-1:]
        self._log.note("error", message)
        if is_out_of_memory(last_errors):
            leave(ExitStatus.OUT_OF_MEMORY, "the engine could not allocate memory and gave up")
