"""What a file is, without reading it: its identity, and the load key that follows from it."""

import hashlib
import os

from statemachines.facts import FileIdentity, LoadKey

Identities = tuple[FileIdentity, ...]
"""Of all parts of a model, in order."""


def identity_of(status: os.stat_result) -> FileIdentity:
    """Which bytes a path means now."""
    return FileIdentity(status.st_dev, status.st_ino, status.st_size, status.st_mtime_ns)


def key_by_identity(identities: Identities) -> LoadKey:
    """The key of weights whose digest is not known. All parts of a split model count."""
    if len(identities) == 1:
        return LoadKey(f"file:{_words(identities[0])}")
    words = ",".join(map(_words, identities))
    return LoadKey(f"files:{hashlib.sha256(words.encode()).hexdigest()}")


def key_by_digest(digest: str) -> LoadKey:
    """The key of weights whose digest is known."""
    return LoadKey(f"sha256:{digest}")


def _words(identity: FileIdentity) -> str:
    return f"{identity.device}:{identity.inode}:{identity.size_bytes}:{identity.modified_ns}"
