"""A lock between servers: at most one at a time holds it.

It is an advisory lock on a file that is never replaced and never removed, for whoever replaced it would hold a lock on
another file than everybody else. Nobody but its owner may open it: who can open it can hold it. The system lets go of
it when the process ends, however it ends, so there is no stale lock to be judged. Runners do not inherit it.
"""

import fcntl
import os
from contextlib import suppress
from pathlib import Path

OWNER_ONLY = 0o600


class FileLock:
    """A lock that is held until it is closed.

    Args:
        path: of the lock's own file; made if it is not there.

    Raises:
        BlockingIOError: somebody else holds it.
        OSError: nothing can be locked there.
    """

    def __init__(self, path: Path) -> None:
        self._fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW, OWNER_ONLY)
        try:
            with suppress(PermissionError):  # A disk may have no rights to set.
                os.fchmod(self._fd, OWNER_ONLY)  # The file may be older than this line, and open to everybody.
            fcntl.flock(self._fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            os.close(self._fd)
            raise

    def close(self) -> None:
        """Let go of it."""
        os.close(self._fd)
