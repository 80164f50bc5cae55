"""From sources to the effective settings, checked.

Defaults < the configuration file < Ollama's variables < our variables < flags. Whoever adds a source puts it into the
list that `resolve` is given, in its place.
"""

import os
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import msgspec

from service.admin_address import check_admin_address
from service.cli.configuration import ConfigFile, configuration
from service.cli.declarations import SETTINGS
from service.cli.folders import home
from service.cli.listening import check_listening, resolve_place
from service.cli.setting import Setting
from service.cli.sources import DEFAULT, Flags, Found, Origin, Source, strongest
from service.cli.variables import Environment, HomeFolder, OllamaEnvironment
from service.config import Settings
from statemachines.errors import ConfigError
from statemachines.limits import Limits
from statemachines.units import format_bytes


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


def sources(flags: Mapping[str, object], environ: Mapping[str, str] | None = None) -> tuple[Source, ...]:
    """The sources there are, the weakest first.

    Args:
        flags: by the names of settings; ``config`` is the one that names the file.

    Raises:
        ConfigError: the configuration file cannot be used.
    """
    environment = os.environ if environ is None else environ
    file = configuration(flags.get("config"), environment)
    return (
        *home_layers(environment),
        *([file] if file is not None else []),
        OllamaEnvironment(environment),
        Environment(environment),
        Flags(flags),
    )


def home_layers(environ: Mapping[str, str]) -> tuple[Source, ...]:
    """The source below all others: where folders are when nobody names one; empty where each has its usual place."""
    folder = home(environ)
    return () if folder is None else (HomeFolder(folder),)


def resolve(layers: Sequence[Source]) -> Resolved:
    """The effective settings.

    Raises:
        ConfigError: a setting cannot be used; the message names it and what it may be.
    """
    found = {setting.name: find(setting, layers) for setting in SETTINGS}
    place = resolve_place(layers)
    found["host"] = Found(place.address.host, place.origin)
    found["port"] = Found(place.port, place.port_origin)
    warnings = (*_outranked(found, layers), *(warning for layer in layers for warning in layer.warnings()))
    _check_slots(found["slots"])
    _check_bodies(found["body_max"], found["bodies_max"])
    resolved = Resolved(
        settings=_build(found),
        values={name: item.value for name, item in found.items()},
        origins={name: item.origin for name, item in found.items()},
        warnings=warnings,
        file=next((layer.path for layer in layers if isinstance(layer, ConfigFile)), None),
    )
    check_listening(resolved.settings, place)
    check_admin_address(resolved.settings.admin_listen)
    return resolved


def find(setting: Setting, layers: Sequence[Source]) -> Found:
    """The value of one setting, judged alone.

    Raises:
        ConfigError: it cannot be used.
    """
    found = strongest(setting, layers)
    return found[0] if found else Found(setting.default(), DEFAULT)


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


def _check_bodies(one: Found, together: Found) -> None:
    """A body that is allowed and never finds room would be told to try again for ever."""
    if together.value < one.value:
        raise ConfigError(
            f"bodies_max: {together.origin} gives the bodies of all requests together less room "
            f"({format_bytes(together.value)}) than body_max ({format_bytes(one.value)}, {one.origin}) allows a single "
            "one; bodies_max must be body_max or more"
        )
