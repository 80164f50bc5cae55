"""Task ``serve``: load one model, then answer leases until told to stop. Runs in the process's main thread.

The engine is imported when a load comes and not with this module, so that an installation without it says so in a
sentence instead of a traceback.
"""

from collections.abc import Callable
from importlib.util import find_spec

from statemachines.errors import RemoteWireError
from statemachines.facts import LoadFailure
from statemachines.wire.exits import ExitStatus
from statemachines.wire.messages import Load, LoadFailed, Shutdown, ToRunner, ToService

ENGINE_PACKAGE = "llama_cpp"
NO_ENGINE = "the server has no engine; install Roundhouse with its extra 'llama' (llama-cpp-python 0.3.36)"


def run(
    receive: Callable[[], ToRunner],
    poll: Callable[[], ToRunner | None],
    send: Callable[[ToService], None],
) -> int:
    """Be a runner of one model; the exit status.

    1. `Shutdown` before the load: nothing to do.
    2. No engine is installed: `LoadFailed`.
    3. Otherwise load and serve, until `Shutdown` or a load that fails.
    """
    message = receive()
    if isinstance(message, Shutdown):  # (1)
        return ExitStatus.DONE
    if not isinstance(message, Load):
        raise RemoteWireError(f"{type(message).__name__} makes no sense before a load")
    if find_spec(ENGINE_PACKAGE) is None:  # (2)
        send(LoadFailed(LoadFailure.ENGINE, NO_ENGINE))
        return ExitStatus.NO_ENGINE
    from runner.llama.serve import serve

    serve(message, receive, poll, send)  # (3)
    return ExitStatus.DONE
