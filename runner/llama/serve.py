"""A model's whole stay in this process: load it, say so, answer leases, free it."""

import time
from collections.abc import Callable

from runner.llama import library
from runner.llama.abort import Abort
from runner.llama.beats import LoadProgress
from runner.llama.failure import LoadError
from runner.llama.gate import Gate
from runner.llama.load import LoadAborted, Loaded, load
from runner.llama.log import EngineLog
from runner.llama.steps import StepLoop
from runner.llama.template import ChatTemplate
from statemachines.errors import RemoteWireError
from statemachines.wire.messages import ChatMessage, Load, LoadFailed, Ready, Shutdown, ToRunner, ToService

Receive = Callable[[], ToRunner]
Poll = Callable[[], ToRunner | None]
Send = Callable[[ToService], None]


def prepare() -> None:
    """Do what every model's first prompt needs; the engine has been imported with this module.

    Why: the template language builds its tables when it is first used, which would delay a first token.
    """
    ChatTemplate(None).render([ChatMessage("user", "")])


def serve(request: Load, receive: Receive, poll: Poll, send: Send) -> None:
    """Load and serve until `Shutdown`. A load that fails is told, one that was aborted is not."""
    started_ns = time.monotonic_ns()
    try:
        loaded = _load(request, poll, send)
    except LoadAborted:
        return
    except LoadError as failure:
        send(LoadFailed(failure.kind, str(failure)))
        return
    try:
        send(Ready(loaded.facts, loaded.report, loaded.chunk_tokens, time.monotonic_ns() - started_ns))
        StepLoop(loaded, receive, poll, send).run()
    finally:
        loaded.close()


def _load(request: Load, poll: Poll, send: Send) -> Loaded:
    gate, progress = Gate(request.gate_path), LoadProgress(send)
    log = EngineLog()
    library.start(log.take)
    library.on_abort(Abort(log))

    def go_on(done: float) -> bool:
        gate.wait()
        progress.report(done)
        return not _is_told_to_stop(poll)

    try:
        return load(request, log, go_on)
    finally:
        log.forget()


def _is_told_to_stop(poll: Poll) -> bool:
    message = poll()
    if message is None:
        return False
    if isinstance(message, Shutdown):
        return True
    raise RemoteWireError(f"{type(message).__name__} makes no sense during a load")
