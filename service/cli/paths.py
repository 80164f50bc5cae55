"""``roundhouse paths``: where things live, with the same settings as `serve`."""

import os
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import click
import msgspec

from service.admin_address import SOCKET_FILE, UNIX
from service.cli.configuration import configured_path
from service.cli.declarations import SETTINGS
from service.cli.exits import WrongSetting
from service.cli.flags import config_flag, setting_flags
from service.cli.folders import HOME, home
from service.cli.settings import find, sources
from service.cli.sources import DEFAULT, Found, Origin, Source
from service.cli.tables import table
from service.state.folder import JOURNALS
from service.state.formats import DIGESTS_FILE
from statemachines.errors import ConfigError

_PLACES = tuple(setting for setting in SETTINGS if setting.below_home)
_ADMIN = next(setting for setting in SETTINGS if setting.name == "admin_listen")


class Location(msgspec.Struct, frozen=True):
    """One place.

    Attributes:
        origin: who says that it is there.
        exists: None where that may not be looked at.
    """

    name: str
    path: str
    exists: bool | None
    origin: str


@click.command()
@click.option("--json", "as_json", is_flag=True, help="Print one JSON list, for programs.")
@config_flag
@setting_flags(*(setting.name for setting in (*_PLACES, _ADMIN)))
def paths(as_json: bool, **flags: Any) -> None:
    """Show where things live: settings, models, what is remembered.

    ROUNDHOUSE_HOME names one folder for all of them.
    """
    try:
        locations = list(_locations(flags, sources(flags)))
    except ConfigError as error:
        raise WrongSetting(str(error)) from error
    click.echo(_as_json(locations) if as_json else _as_table(locations), nl=False)


def _locations(flags: Mapping[str, Any], layers: Sequence[Source]) -> Iterator[Location]:
    file, named_by = configured_path(flags["config"], os.environ)
    yield _location("config", file, named_by or (HOME if home(os.environ) else ""))
    found = {setting.name: find(setting, layers) for setting in _PLACES}
    for name, place in found.items():
        yield _location(name, place.value, place.origin)
    state = found["state"]
    if admin := _admin_socket(find(_ADMIN, layers), state):
        yield _location("admin socket", admin.value, admin.origin)
    yield _location("digests", state.value / DIGESTS_FILE, state.origin)
    yield _location("journals", state.value / JOURNALS, state.origin)


def _admin_socket(admin: Found, state: Found) -> Found | None:
    """Where operators find a service that other machines reach; None where that is no file."""
    if admin.value is None:
        return Found(state.value / SOCKET_FILE, state.origin)
    return Found(Path(admin.value.removeprefix(UNIX)), admin.origin) if admin.value.startswith(UNIX) else None


def _location(name: str, path: Path, origin: Origin | str) -> Location:
    said_by = str(origin) if origin and origin != DEFAULT else "default"
    return Location(name, str(path), _exists(path), said_by)


def _exists(path: Path) -> bool | None:
    try:
        path.stat()
    except (FileNotFoundError, NotADirectoryError):
        return False
    except OSError:
        return None
    return True


def _as_table(locations: Sequence[Location]) -> str:
    words = {True: "yes", False: "no", None: "unknown"}
    rows = [(place.name, place.path, words[place.exists], place.origin) for place in locations]
    return table(("NAME", "PATH", "THERE", "SOURCE"), rows)


def _as_json(locations: Sequence[Location]) -> str:
    return msgspec.json.format(msgspec.json.encode(locations)).decode() + "\n"
