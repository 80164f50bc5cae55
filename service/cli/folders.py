"""Where things live: below one folder of the operator's choice, or where the system keeps each kind of thing."""

from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path

import platformdirs

from service.config import Settings
from statemachines.errors import ConfigError

HOME = "ROUNDHOUSE_HOME"
"""One folder for all; no setting, because it says where the file of settings is."""
CONFIG = "ROUNDHOUSE_CONFIG"
"""Names that file itself."""
CONFIG_NAME = "config.toml"


def home(environ: Mapping[str, str]) -> Path | None:
    """The folder below which everything lies, or None where each thing lies in its usual place.

    Raises:
        ConfigError: there is no such place.
    """
    text = variable(environ, HOME)
    return named_path(HOME, text) if text else None


def full_path(text: str) -> Path:
    """The place that a person means; ``~`` is the home folder.

    Raises:
        ValueError: there is no such place, or none that we could write about: to a runner, into a log. The words say
            why.
    """
    if "\0" in text:
        raise ValueError("it has a null character")
    try:
        path = Path(text).expanduser().absolute()
        str(path).encode()
    except RuntimeError:
        raise ValueError("there is no such user") from None
    except UnicodeEncodeError:
        raise ValueError("its name is not UTF-8") from None
    return path


def named_path(name: str, text: str) -> Path:
    """The same for what the flag or the variable ``name`` says.

    Raises:
        ConfigError: there is no such place.
    """
    try:
        return full_path(text)
    except ValueError as error:
        raise ConfigError(f"{name}={text!r} cannot be used: {error}") from None


def config_file(environ: Mapping[str, str]) -> Path:
    """Where settings are read when nobody names another file; there need not be one."""
    folder = home(environ) or platformdirs.user_config_path("roundhouse", appauthor=False)
    return folder / CONFIG_NAME


def models_folder() -> Path:
    """The usual place of models."""
    return platformdirs.user_data_path("roundhouse", appauthor=False) / "models"


def state_folder() -> Path:
    """The usual place of what is remembered."""
    return platformdirs.user_state_path("roundhouse", appauthor=False)


def variable(environ: Mapping[str, str], name: str) -> str:
    """A variable without spaces and quotes around it, which wrappers of environment files leave there."""
    return environ.get(name, "").strip().strip("\"'")


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


def _unmade(folder: Path, error: OSError) -> str:
    return f"the models folder {folder} cannot be made ({error.strerror}); name another one with --models"
