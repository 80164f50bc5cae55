"""State folders with everything they say, and servers of their own process to hold them."""

import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from service.logs import make_log
from service.state.folder import StateFolder
from service.state.owner import Owner, this_process
from tests.service.shell import LogLines

US = this_process("http://127.0.0.1:1", 1_700_000_000 * 10**9)

HOLDER = """
import sys
from pathlib import Path
from service.logs import make_log
from service.state.folder import StateFolder
from service.state.owner import this_process
folder = StateFolder(Path(sys.argv[1]), make_log(log_format="json", level="error"))
folder.open(this_process("http://127.0.0.1:2", 0))
print("held", flush=True)
sys.stdin.read()
"""


class Place:
    """One server's state folder.

    Attributes:
        before: what `open` said.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.lines = LogLines()
        self.folder = StateFolder(path, make_log(log_format="json", level="debug", stream=self.lines))
        self.before: Owner | None = None

    def files(self) -> dict[str, bytes]:
        """Everything in it, journals too."""
        return {str(path.relative_to(self.path)): path.read_bytes() for path in self.path.rglob("*") if path.is_file()}

    def warnings(self) -> list[dict[str, object]]:
        return [row for row in self.lines.rows() if row["level"] == "warning"]


@contextmanager
def opened(path: Path, us: Owner = US) -> Iterator[Place]:
    """A folder that is open for as long as the context lasts."""
    place = Place(path)
    place.before = place.folder.open(us)
    try:
        yield place
    finally:
        place.folder.close()


@contextmanager
def held_elsewhere(path: Path) -> Iterator["subprocess.Popen[bytes]"]:
    """Another process has it."""
    command = [sys.executable, "-c", HOLDER, str(path)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as holder:
        try:
            assert holder.stdout is not None
            assert holder.stdout.readline() == b"held\n"
            yield holder
        finally:
            holder.kill()
