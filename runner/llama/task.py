"""Task ``serve``: load one model, then answer leases until told to stop. Runs in the process's main thread.

The engine is imported before the process greets, and not with this module: an installation without it says so in a
sentence when a load comes, instead of a traceback. Importing calls nothing of the engine that would look for devices:
a process that waits for its load must hold no context on any of them. That begins with `library.start`, in the load.
"""

from collections.abc import Callable

from runner.llama import bindings
from statemachines.errors import RemoteWireError
from statemachines.facts import LoadFailure
from statemachines.wire.exits import ExitStatus
from statemachines.wire.messages import Load, LoadFailed, Shutdown, ToRunner, ToService

ENGINE = "llama-cpp-python"
NO_ENGINE = "the server has no engine; install Roundhouse with its extra 'llama' (llama-cpp-python 0.3.36)"


def prepare() -> str:
    """Import the engine and all that serves with it; its name and version, or nothing where none is installed."""
    if not bindings.is_installed():
        return ""
    from runner.llama import serve

    serve.prepare()
    return f"{ENGINE} {bindings.version()}".rstrip()


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
    if not bindings.is_installed():  # (2)
        send(LoadFailed(LoadFailure.ENGINE, NO_ENGINE))
        return ExitStatus.NO_ENGINE
    from runner.llama.serve import serve

    serve(message, receive, poll, send)  # (3)
    return ExitStatus.DONE
