"""The lock on a state folder: at most one server at a time holds it.

It is an advisory lock on a file that is never replaced and never removed, for whoever replaced it would hold a lock on
another file than everybody else. The system lets go of it when the process ends, however it ends, so there is no stale
lock to be judged. Runners do not inherit it.
"""

import fcntl
import os
from pathlib import Path

LOCK_FILE = "lock"


class FolderLock:
    """A lock that is held until it is closed.

    Args:
        folder: whose; it is there.

    Raises:
        BlockingIOError: somebody else holds it.
        OSError: nothing can be locked there.
    """

    def __init__(self, folder: Path) -> None:
        self._fd = os.open(folder / LOCK_FILE, os.O_RDWR | os.O_CREAT, 0o644)
        try:
            fcntl.flock(self._fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            os.close(self._fd)
            raise

    def close(self) -> None:
        """Let go of it."""
        os.close(self._fd)
