"""From sources to the effective settings, checked.

Defaults < the configuration file < Ollama's variables < our variables < flags. Whoever adds a source puts it into the
list that `resolve` is given, in its place.
"""

import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

import msgspec

from service.cli.addresses import DEFAULT_HOST, DEFAULT_PORT, Address, bracketed, is_loopback
from service.cli.configuration import ConfigFile, read_file
from service.cli.declarations import SETTINGS
from service.cli.folders import CONFIG, config_file, home, variable
from service.cli.setting import Setting
from service.cli.sources import DEFAULT, Flags, Found, Origin, Source, SourceKind
from service.cli.variables import Environment, HomeFolder, OllamaEnvironment
from service.config import Settings
from statemachines.errors import ConfigError
from statemachines.limits import Limits

_HOST, _PORT = (next(setting for setting in SETTINGS if setting.name == name) for name in ("host", "port"))


class Resolved(msgspec.Struct, frozen=True):
    """The settings, where each comes from, and what the operator should know.

    Attributes:
        values, origins: by the names of settings.
        file: the configuration file, where one was read.
    """

    settings: Settings
    values: dict[str, Any]
    origins: dict[str, Origin]
    warnings: tuple[str, ...]
    file: Path | None


class Place(msgspec.Struct, frozen=True):
    """Where a server is or will be.

    Attributes:
        address, port: as they were written or as they are by default.
        origin, port_origin: who says so.
    """

    address: Address
    port: int
    origin: Origin
    port_origin: Origin

    @property
    def url(self) -> str:
        return self.address.url(self.port)

    @property
    def is_chosen(self) -> bool:
        """The user means this server and no other: a flag says so, or it is on another machine."""
        return SourceKind.FLAG in (self.origin.kind, self.port_origin.kind) or not self.address.is_loopback


def sources(flags: Mapping[str, object], environ: Mapping[str, str] | None = None) -> tuple[Source, ...]:
    """The sources there are, the weakest first.

    Args:
        flags: by the names of settings; ``config`` is the one that names the file.

    Raises:
        ConfigError: the configuration file cannot be used.
    """
    environment = os.environ if environ is None else environ
    folder, file = home(environment), configuration(flags.get("config"), environment)
    return (
        *([HomeFolder(folder)] if folder is not None else []),
        *([file] if file is not None else []),
        OllamaEnvironment(environment),
        Environment(environment),
        Flags(flags),
    )


def configuration(flag: object, environ: Mapping[str, str]) -> ConfigFile | None:
    """The configuration file: the one that a flag names, else a variable, else the usual one, if it is there.

    Raises:
        ConfigError: it cannot be used.
    """
    for named_by, text in (("--config", str(flag or "")), (CONFIG, variable(environ, CONFIG))):
        if text:
            return read_file(Path(text).expanduser().absolute(), named_by)
    return read_file(config_file(environ))


def resolve(layers: Sequence[Source]) -> Resolved:
    """The effective settings.

    Raises:
        ConfigError: a setting cannot be used; the message names it and what it may be.
    """
    found = {setting.name: _find(setting, layers) for setting in SETTINGS}
    place = resolve_place(layers)
    found["host"] = Found(place.address.host, place.origin)
    found["port"] = Found(place.port, place.port_origin)
    warnings = (*_outranked(found, layers), *(warning for layer in layers for warning in layer.warnings()))
    _check_slots(found["slots"])
    resolved = Resolved(
        settings=_build(found),
        values={name: item.value for name, item in found.items()},
        origins={name: item.origin for name, item in found.items()},
        warnings=warnings,
        file=next((layer.path for layer in layers if isinstance(layer, ConfigFile)), None),
    )
    _check_listening(resolved.settings, place)
    return resolved


def resolve_place(layers: Sequence[Source]) -> Place:
    """Where a server is, from the host and port settings alone.

    1. A port of its own counts when its source is at least as strong as the host's.
    2. Else the one written in the host counts.
    3. Else any other, or the default.
    """
    host, host_rank = _strongest(_HOST, layers) or (Found(Address(), DEFAULT), -1)
    port, port_rank = _strongest(_PORT, layers) or (Found(DEFAULT_PORT, DEFAULT), -1)
    own = host.value.port
    if own is None or port_rank >= host_rank >= 0:  # (1) (3)
        return Place(host.value, port.value, host.origin, port.origin)
    return Place(host.value, own, host.origin, host.origin)  # (2)


def make_folders(settings: Settings) -> tuple[Path, ...]:
    """Make the folders that are written to, and say which were made.

    Raises:
        ConfigError: the models folder cannot be made. Without a state folder there is only less to remember, and the
            service says so.
    """
    missing = [folder for folder in (settings.models, settings.state) if not folder.is_dir()]
    try:
        settings.models.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise ConfigError(_unmade(settings.models, error)) from error
    with suppress(OSError):
        settings.state.mkdir(parents=True, exist_ok=True)
    return tuple(folder for folder in missing if folder.is_dir())


def _find(setting: Setting, layers: Sequence[Source]) -> Found:
    strongest = _strongest(setting, layers)
    return strongest[0] if strongest else Found(setting.default(), DEFAULT)


def _strongest(setting: Setting, layers: Sequence[Source]) -> tuple[Found, int] | None:
    for rank in reversed(range(len(layers))):
        if (found := layers[rank].find(setting)) is not None:
            return found, rank
    return None


def _outranked(found: Mapping[str, Found], layers: Sequence[Source]) -> Iterator[str]:
    """Variables of Ollama's, perhaps set long ago and for others, that outrank the file that was written for us."""
    for file in (layer for layer in layers if isinstance(layer, ConfigFile)):
        for setting in SETTINGS:
            origin, ours = found[setting.name].origin, file.find(setting)
            if ours is not None and origin.name.startswith("OLLAMA_"):
                yield f"{origin} outranks {ours.origin}; unset it, or set {setting.env}"


def _build(found: Mapping[str, Found]) -> Settings:
    limits: dict[str, Any] = {}
    fields: dict[str, Any] = {}
    for setting in SETTINGS:
        if setting.field.startswith("limits."):
            limits[setting.field.removeprefix("limits.")] = found[setting.name].value
        elif setting.field:
            fields[setting.field] = found[setting.name].value
    return Settings(**fields, limits=Limits(**limits))


def _check_slots(slots: Found) -> None:
    if slots.value != 1:
        raise ConfigError(
            f"slots: {slots.origin} asks for {slots.value} requests side by side in one runner, which this version "
            "does not serve yet; slots must be 1"
        )


def _check_listening(settings: Settings, place: Place) -> None:
    """Refuse what would open the service to others by accident.

    1. TLS is not served.
    2. Loopback needs no consent.
    3. Anything else does, and the refusal says what it exposes.
    """
    if place.address.scheme == "https":  # (1)
        raise ConfigError(f"{place.origin} asks for https, but Roundhouse serves plain HTTP; put a TLS proxy before it")
    if is_loopback(settings.host) or settings.allow_remote:  # (2)
        return
    where = f"{bracketed(settings.host)}:{settings.port}" if settings.host else f"port {settings.port} of every address"
    raise ConfigError(  # (3)
        f"{place.origin} asks to listen on {where}, which other machines can reach. Whoever can connect could then "
        "run, load and unload every model here and read which ones there are: there is no password and no "
        f"encryption. Say --allow-remote to consent, or listen on {DEFAULT_HOST}"
    )


def _unmade(folder: Path, error: OSError) -> str:
    return f"the models folder {folder} cannot be made ({error.strerror}); name another one with --models"
