"""Where things live: below one folder of the operator's choice, or where the system keeps each kind of thing."""

from collections.abc import Mapping
from pathlib import Path

import platformdirs

HOME = "ROUNDHOUSE_HOME"
"""One folder for all; no setting, because it says where the file of settings is."""
CONFIG = "ROUNDHOUSE_CONFIG"
"""Names that file itself."""
CONFIG_NAME = "config.toml"


def home(environ: Mapping[str, str]) -> Path | None:
    """The folder below which everything lies, or None where each thing lies in its usual place."""
    text = variable(environ, HOME)
    return Path(text).expanduser().absolute() if text else None


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
