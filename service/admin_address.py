"""Where operators may be answered: an address of this machine, or ``unix:/PATH``."""

from service.http.guard import listens_locally
from statemachines.errors import ConfigError

UNIX = "unix:"
SOCKET_FILE = "admin.sock"
"""In the state folder."""


def check_admin_address(address: str | None) -> None:
    """Refuse an address that other machines reach.

    Raises:
        ConfigError: it is one.
    """
    if address is None or address.startswith(UNIX):
        return
    host, _ = split_address(address)
    if not listens_locally(host):
        raise ConfigError(
            f"admin_listen: {host or 'every address'} can be reached from other machines, and what operators see has "
            "no password; choose a loopback address or unix:/PATH, and put a proxy that asks for one in front"
        )


def split_address(address: str) -> tuple[str, int]:
    """Host and port of ``127.0.0.1:9000`` or ``[::1]:9000``."""
    host, _, port = address.rpartition(":")
    return host.strip("[]"), int(port)
