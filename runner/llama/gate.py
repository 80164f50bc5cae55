"""Holds a load for as long as a test wants. For fault tests only: nothing in the product sets `Load.gate_path`.

The gate is a named pipe. At the first report of progress the load opens it for reading and reads to its end: it then
hangs in the operating system, as on a disk that does not answer, and neither reports progress nor hears a message.
Opening the pipe for writing tells the test that the load has arrived; closing it lets the load go on.
"""

from pathlib import Path


class Gate:
    """Closed until it has been passed once.

    Args:
        path: the named pipe; None for a gate that was always open.
    """

    def __init__(self, path: str | None) -> None:
        self._path = path

    def wait(self) -> None:
        """Return when whoever opened the gate has closed it."""
        path, self._path = self._path, None
        if path is not None:
            Path(path).read_bytes()
