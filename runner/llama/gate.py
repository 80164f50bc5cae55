"""Holds a load for as long as a test wants. For fault tests only: nothing in the product sets `Load.gate_path`.

The gate is a named pipe. At the first report of progress the load opens it for reading and reads to its end: it then
hangs in the operating system, as on a disk that does not answer, and neither reports progress nor hears a message.
The test opens the pipe for writing (which tells it that the load has arrived) and closes it to let the load go on. A
gate that does not exist is open.
"""

import os
from pathlib import Path


def pass_gate(path: str | None) -> None:
    """Wait until whoever opened the gate closes it."""
    if path is not None and os.path.exists(path):
        Path(path).read_bytes()
