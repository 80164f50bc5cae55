"""The one way out of a runner process."""

import os
import sys
import traceback
from typing import NoReturn

from statemachines.errors import RemoteWireError
from statemachines.wire.exits import ExitStatus


def leave(status: int, why: str | None = None) -> NoReturn:
    """End the process now.

    Interpreter and engine are not torn down: a native destructor that hangs or crashes would turn a good end into a
    bad one, and the system takes everything back anyway.

    Args:
        why: a line for the service's log.
    """
    try:
        if why is not None:
            print(f"runner: {why}", file=sys.stderr)
        sys.stdout.flush()
        sys.stderr.flush()
    finally:  # Whatever the streams say: often we leave just because nobody reads them any more.
        os._exit(status)


def leave_after(error: BaseException) -> NoReturn:
    """End the process because of an error that nobody caught; the status names its kind."""
    match error:
        case MemoryError():
            leave(ExitStatus.OUT_OF_MEMORY, "out of memory")
        case RemoteWireError():
            leave(ExitStatus.PROTOCOL, f"the service broke the protocol: {error}")
        case _:
            leave(ExitStatus.CRASHED, "".join(traceback.format_exception(error)))
