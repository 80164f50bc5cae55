"""The models folder: which files in it are models, under which names, and why the others are not.

Every look is fresh (one listing and one stat for each file), so a model that was copied in is there at once. It takes
time for each file, in the loop; so that a question about one model need not wait for all others, `is_as_it_was` tells
when a look could find nothing else. What is skipped is said once for each file, not at each look.
"""

import os
import re
import stat
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from pathlib import Path

import msgspec
from structlog.typing import FilteringBoundLogger

from service.store.identity import Identities, identity_of
from service.store.names import Name, NameKey, parse_name, shown_file
from statemachines.facts import FileIdentity
from statemachines.units import NS_PER_S

SUFFIX = ".gguf"
PROJECTOR_PREFIX = "mmproj"
_PART = re.compile(r"(?P<base>.+)-(?P<no>\d{5})-of-(?P<count>\d{5})")
PARTS_MAX = 1_024
SETTLED_NS = 2 * NS_PER_S
"""How long ago a folder must have changed for its time of change to tell of the next one: some file systems keep it in
steps of two seconds."""


class FoundModel(msgspec.Struct, frozen=True):
    """One model in the folder.

    Attributes:
        paths: the file, or all parts of a split one in order.
        modified_ns: of the newest part, wall time.
    """

    name: Name
    paths: tuple[str, ...]
    identities: Identities
    size_bytes: int
    modified_ns: int


class Part(msgspec.Struct, frozen=True):
    """What a file's stem says about its place in a split model."""

    base: str
    no: int
    count: int


class SkippedFile(Exception):
    """A file that is no model; the message says why."""


class ModelFolder:
    """Looks at one folder, again and again.

    Args:
        wall_ns: the time by which the file system notes changes.
        further: files from elsewhere that are served too, unless a file in the folder has their name.
    """

    def __init__(
        self, folder: Path, log: FilteringBoundLogger, *, wall_ns: Callable[[], int], further: Sequence[Path] = ()
    ) -> None:
        self._folder = os.path.abspath(folder)
        self._further = further
        self._wall_ns = wall_ns
        self._log = log
        self._warned: dict[str, str] = {}
        self._listed: dict[str, None] = {}
        self._settled: FileIdentity | None = None

    def look(self) -> list[FoundModel] | None:
        """The models that are there now, in the order of their files' names; None when the folder cannot be read.

        Of two files that spell one name, the one that had it at the last look keeps it, else a whole file goes before
        a split one, else the first by name.
        """
        self._settled = self._settled_identity()
        files = self._files()
        if files is None:
            return None
        skipped: dict[str, str] = {}
        found: dict[NameKey, FoundModel] = {}
        for file_name in sorted(files, key=self._precedence):
            try:
                model = _model(os.path.join(self._folder, file_name))
                if model.name.key in found:
                    raise SkippedFile(f"its name is that of {shown_file(found[model.name.key].paths[0])}")
                found[model.name.key] = model
            except SkippedFile as why:
                skipped[file_name] = str(why)
        for path in self._further:
            with suppress(SkippedFile):
                model = _model(str(path))
                found.setdefault(model.name.key, model)
        self._warn(skipped)
        self._listed = {os.path.basename(model.paths[0]): None for model in found.values()}
        return sorted(found.values(), key=lambda model: model.paths)

    def is_as_it_was(self, model: FoundModel) -> bool:
        """Whether a look would find this model as the last one did: its files are the same, and the folder's list is.

        A folder that changed shortly before the last look may have changed again without showing it.
        """
        return self._settled is not None and self._settled == self._settled_identity() and are_all_there([model])

    def _settled_identity(self) -> FileIdentity | None:
        """What the folder is, its time of change included; None while that cannot be relied on."""
        try:
            status = os.stat(self._folder)
        except OSError:
            return None
        return identity_of(status) if self._wall_ns() - status.st_mtime_ns > SETTLED_NS else None

    def _precedence(self, file_name: str) -> tuple[bool, bool, str]:
        return file_name not in self._listed, split_part(_stem(file_name)) is not None, file_name

    def _files(self) -> list[str] | None:
        """Names of the model files in the folder; later parts and projectors belong to other files."""
        try:
            names = os.listdir(self._folder)
        except OSError as error:
            self._warn({"": f"the models folder cannot be read: {error.strerror}"})
            return [] if isinstance(error, FileNotFoundError) else None
        return [name for name in names if name.endswith(SUFFIX) and not _belongs_to_another(_stem(name))]

    def _warn(self, skipped: dict[str, str]) -> None:
        """Say what is new about the files that were left out, and forget the files that are gone."""
        for name, why in skipped.items():
            if self._warned.get(name) != why:
                self._log.warning("not served", file=shown_file(name or self._folder), why=why)
        self._warned = skipped


def are_all_there(models: Sequence[FoundModel]) -> bool:
    """Whether every file of these models is still the one that was found; safe in a thread, it remembers nothing."""
    try:
        return all(tuple(map(identity_of, map(os.stat, model.paths))) == model.identities for model in models)
    except OSError:
        return False


def _model(path: str) -> FoundModel:
    """The model that begins with the file at ``path``.

    Raises:
        SkippedFile: it is none.
    """
    name = parse_name(_name_of(_stem(os.path.basename(path))))
    if name is None:
        raise SkippedFile("its name is no valid model name; rename it")
    paths = tuple(_paths(path))
    statuses = [_status(part) for part in paths]
    return FoundModel(
        name=name,
        paths=paths,
        identities=tuple(map(identity_of, statuses)),
        size_bytes=sum(status.st_size for status in statuses),
        modified_ns=max(status.st_mtime_ns for status in statuses),
    )


def _paths(path: str) -> Iterator[str]:
    folder, file_name = os.path.split(path)
    part = split_part(_stem(file_name))
    if part is None:
        yield path
        return
    if not 0 < part.count <= PARTS_MAX:
        raise SkippedFile(f"it says that it is one of {part.count} parts")
    for no in range(1, part.count + 1):
        yield os.path.join(folder, f"{part.base}-{no:05}-of-{part.count:05}{SUFFIX}")


def split_part(stem: str) -> Part | None:
    """Which part of how many a stem names, or None for a whole file."""
    match = _PART.fullmatch(stem)
    return Part(match["base"], int(match["no"]), int(match["count"])) if match else None


def _name_of(stem: str) -> str:
    """The name that a stem spells: that of a split model is what all its parts have in common."""
    part = split_part(stem)
    return stem if part is None else part.base


def _belongs_to_another(stem: str) -> bool:
    part = split_part(stem)
    return stem.lower().startswith(PROJECTOR_PREFIX) or (part is not None and part.no != 1)


def _stem(file_name: str) -> str:
    return file_name.removesuffix(SUFFIX)


def _status(path: str) -> os.stat_result:
    try:
        status = os.stat(path)
    except FileNotFoundError:
        raise SkippedFile(f"{shown_file(path)} is missing") from None
    except OSError as error:
        raise SkippedFile(f"{shown_file(path)} cannot be looked at: {error.strerror}") from None
    if not stat.S_ISREG(status.st_mode):
        raise SkippedFile("it is not a regular file")
    return status
