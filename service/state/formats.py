"""In which form a state folder is kept: one number for all its files, and how an older form becomes this one.

| format | what it is |
|---|---|
| 0 | without a number: `digests.json` says its own version, and what a crash left of it is `digests.json.PID` |
| 1 | the number in `format`; files have no versions of their own |

Each migration may meet what an interrupted one left: what is done already is left alone.
"""

import re
from collections.abc import Callable, Sequence
from pathlib import Path

import msgspec

from service.state.files import TooLarge, read_whole, replace_whole
from statemachines.decoding import UNDECODABLE
from statemachines.errors import ConfigError

FORMAT_FILE = "format"
FORMAT_BYTES_MAX = 32
DIGESTS_FILE = "digests.json"
DIGESTS_BYTES_MAX = 4 << 20


class NoFormat(OSError):
    """The file that should hold the number holds something else."""


def read_format(folder: Path) -> int:
    """The number; 0 where there is none.

    Raises:
        NoFormat: what is there is no number.
        OSError: it cannot be read.
    """
    try:
        data = read_whole(folder / FORMAT_FILE, bytes_max=FORMAT_BYTES_MAX)
    except FileNotFoundError:
        return 0
    if not re.fullmatch(rb"[0-9]{1,9}\n?", data):
        raise NoFormat("its format is no number")
    return int(data)


def refuse_newer(folder: Path, number: int) -> None:
    """A folder that a newer version has migrated must not be written in an older form.

    Raises:
        ConfigError: this one was.
    """
    if number > FORMAT:
        raise ConfigError(
            f"state: {folder} was written by a newer Roundhouse (its format is {number}, this version knows "
            f"{FORMAT} at most); start that version again, or name another folder with --state"
        )


def migrate(folder: Path, number: int) -> None:
    """Bring a folder from format ``number`` to ours, a step at a time. Only the holder of the lock may.

    Raises:
        OSError: the disk does not take it; what is done is done, and the rest follows the next time.
    """
    for step in range(number, FORMAT):
        MIGRATIONS[step](folder)
        replace_whole(folder / FORMAT_FILE, b"%d\n" % (step + 1))


def _number_the_folder(folder: Path) -> None:
    """0 to 1."""
    for stray in folder.glob(f"{DIGESTS_FILE}.*"):
        if stray.suffix[1:].isdecimal():
            stray.unlink(missing_ok=True)
    digests = folder / DIGESTS_FILE
    try:
        found = msgspec.json.decode(read_whole(digests, bytes_max=DIGESTS_BYTES_MAX))
    except FileNotFoundError:
        return
    except (*UNDECODABLE, TooLarge):
        found = None
    if isinstance(found, dict) and found.pop("version", 1) == 1:
        replace_whole(digests, msgspec.json.encode(found))
    else:
        digests.unlink()  # A cache, and of no use.


MIGRATIONS: Sequence[Callable[[Path], None]] = (_number_the_folder,)
"""From the format that is the place in this list to the next one."""
FORMAT = len(MIGRATIONS)
