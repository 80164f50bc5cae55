"""Which server a command talks to."""

from service.cli.exits import WrongSetting
from service.cli.listening import Place, resolve_place
from service.cli.settings import sources
from statemachines.errors import ConfigError


def place_of(host: str | None) -> Place:
    """The server that a ``--host`` flag, the environment or the default means.

    Raises:
        WrongSetting: the flag or the variable holds no address.
    """
    try:
        return resolve_place(sources({"host": host}))
    except ConfigError as error:
        raise WrongSetting(str(error)) from error
