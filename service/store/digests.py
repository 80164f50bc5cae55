"""sha256 of model files: computed in the background, one file at a time, and remembered on disk.

A digest is filed under the file's identity, so a file that was replaced has none, and a digest outlives renames and
restarts. Losing the cache costs time, nothing else.
"""

import hashlib
import os
from collections.abc import Callable, Iterable

import msgspec
import trio
from structlog.typing import FilteringBoundLogger

from service.state.folder import StateFolder
from service.state.formats import DIGESTS_BYTES_MAX, DIGESTS_FILE
from service.store.background import in_background
from service.store.folder import FoundModel
from service.store.identity import Identities, identity_of
from service.store.names import shown_file
from service.threads import NoThread
from statemachines.decoding import UNDECODABLE
from statemachines.facts import FileIdentity

DIGESTS_MAX = 4_096
"""Digests that are remembered; the oldest are forgotten first."""
MAGIC = b"GGUF"
"""How a file begins that may get a digest. A link in the models folder may lead to any file that we may read: nobody
should learn from us what another kind of file holds, not even its sum."""
CHUNK_BYTES = 1 << 20
"""Hashed between two looks at whether the result is still wanted."""


class _Row(msgspec.Struct, frozen=True, array_like=True):
    identity: FileIdentity
    digest: str


class _Cache(msgspec.Struct, frozen=True):
    rows: tuple[_Row, ...]


class FileChanged(Exception):
    """The file is not the one whose digest was wanted."""


class NoModelFile(Exception):
    """The file does not begin as a model file does."""


class Digests:
    """The digests that are known, and the task that finds out more.

    Args:
        state: where they are kept.
    """

    def __init__(self, state: StateFolder, log: FilteringBoundLogger) -> None:
        self._state = state
        self._log = log
        self._known: dict[FileIdentity, str] = {}
        self._wanted: dict[FileIdentity, str] = {}
        self._given_up: dict[FileIdentity, None] = {}
        self._bell = trio.Event()

    def of(self, identities: Identities) -> str | None:
        """The digest of a model: its file's, or for a split one that of its parts' digests; None while unknown."""
        known = [self._known.get(identity) for identity in identities]
        if len(known) == 1:
            return known[0]
        parts = [digest for digest in known if digest is not None]
        return hashlib.sha256("\n".join(parts).encode()).hexdigest() if len(parts) == len(known) else None

    def want(self, models: Iterable[FoundModel]) -> None:
        """These are the models now: find out what is not known of them, and forget wishes for others."""
        here = {
            identity: path
            for model in models
            for identity, path in zip(model.identities, model.paths, strict=True)
            if identity not in self._known
        }
        self._given_up = {identity: None for identity in self._given_up if identity in here}
        self._wanted = {identity: path for identity, path in here.items() if identity not in self._given_up}
        if self._wanted:
            self._bell.set()

    async def run(self) -> None:
        """Find out digests until cancelled."""
        while True:
            await self._bell.wait()
            self._bell = trio.Event()
            while self._wanted:
                identity, path = self._wanted.popitem()
                if identity not in self._known:  # Each look at the folder wishes for what is being found out as well.
                    await self._find_out(identity, path)

    async def _find_out(self, identity: FileIdentity, path: str) -> None:
        """One digest. A file that changes meanwhile will be wanted again under its new identity.

        (1) The next look at the folder wishes for it again.
        """
        try:
            digest = await in_background(lambda is_unwanted: digest_of(path, identity, is_unwanted))
        except (FileChanged, NoThread):  # (1)
            return
        except NoModelFile:
            self._give_up(identity, path, "it is not a GGUF file")
            return
        except OSError as error:
            self._give_up(identity, path, f"it cannot be read: {error.strerror}")
            return
        if digest is not None:
            self._known[identity] = digest
            self._log.debug("digest known", file=shown_file(path), digest=digest[:12])
            await self._save()

    def _give_up(self, identity: FileIdentity, path: str, why: str) -> None:
        self._given_up[identity] = None
        self._log.warning("no digest", file=shown_file(path), why=why)

    # On disk

    def open(self) -> None:
        """Read what earlier runs have found out."""
        try:
            data = self._state.read(DIGESTS_FILE, bytes_max=DIGESTS_BYTES_MAX)
            rows = () if data is None else msgspec.json.decode(data, type=_Cache).rows
        except (OSError, *UNDECODABLE):
            self._log.warning("the digests of an earlier run cannot be used; they are computed again")
            rows = ()
        self._known = {row.identity: row.digest for row in rows}

    async def _save(self) -> None:
        while len(self._known) > DIGESTS_MAX:
            del self._known[next(iter(self._known))]
        rows = tuple(_Row(*item) for item in self._known.items())
        await self._state.write(DIGESTS_FILE, msgspec.json.encode(_Cache(rows)))


def digest_of(path: str, identity: FileIdentity, is_unwanted: Callable[[], bool]) -> str | None:
    """sha256 of a whole file in hex; None when nobody wants it any more.

    Raises:
        FileChanged: the file is, or becomes, another one.
        NoModelFile: it does not begin as one.
        OSError: it cannot be read.
    """
    digest = hashlib.sha256()
    buffer = memoryview(bytearray(CHUNK_BYTES))
    with open(path, "rb", buffering=0, opener=_open) as file:
        _check(file.fileno(), identity)
        if os.pread(file.fileno(), len(MAGIC), 0) != MAGIC:
            raise NoModelFile
        while count := file.readinto(buffer):
            digest.update(buffer[:count])
            if is_unwanted():
                return None
        _check(file.fileno(), identity)
    return digest.hexdigest()


def _open(path: str, flags: int) -> int:
    """What has become a pipe meanwhile is not waited for."""
    return os.open(path, flags | os.O_NONBLOCK)


def _check(descriptor: int, identity: FileIdentity) -> None:
    if identity_of(os.fstat(descriptor)) != identity:
        raise FileChanged
