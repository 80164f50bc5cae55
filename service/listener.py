"""The listening socket, bound before anything else starts, so that a taken port is known at once.

Its options are inherited by every accepted connection. They find clients whose machine or network is gone:
`TCP_USER_TIMEOUT` although all that we sent fitted into the system's buffers, keep-alive although nothing was to be
sent, because their request still waits.
"""

import errno
import ipaddress
import socket
import sys

from service.config import Settings
from statemachines.errors import ConfigError
from statemachines.units import NS_PER_MS

BACKLOG = 1024
"""A crowd that comes at once is let in, or turned away in words, and not left to try again."""

MILLISECONDS_MAX = (1 << 31) - 1
"""What the system takes."""
PROBE_S = 15
"""How often the system asks a silent client's machine whether it is still there; as Go's servers do."""


class AddressTaken(ConfigError):
    """Another program listens there.

    Attributes:
        host, port: where.
    """

    def __init__(self, host: str, port: int) -> None:
        super().__init__(f"port {port} on {host} is taken by another program")
        self.host = host
        self.port = port


def bind(settings: Settings) -> socket.socket:
    """A socket that listens where the settings say.

    Raises:
        AddressTaken: the port is taken.
        ConfigError: the address is not ours to listen on, or is not loopback and nobody consented.
    """
    family, address = _resolve(settings.host, settings.port)
    if not settings.allow_remote and not ipaddress.ip_address(address[0].split("%")[0]).is_loopback:
        raise ConfigError(
            f"{settings.host} is not a loopback address: whoever reaches it may use and stop every model, without a "
            "password. Listen on 127.0.0.1, or consent with --allow-remote"
        )
    try:
        return _listen(family, address, settings)
    except OSError as error:
        raise _named(error, settings) from None


def _resolve(host: str, port: int) -> tuple[socket.AddressFamily, tuple[str, int]]:
    try:
        found = socket.getaddrinfo(host or None, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
    except (OSError, UnicodeError):  # the latter: it is no name at all
        raise ConfigError(f"host: {host!r} is no address of this machine and no name that can be resolved") from None
    family, _, _, _, address = found[0]
    return family, (str(address[0]), int(address[1]))


def _listen(family: socket.AddressFamily, address: tuple[str, int], settings: Settings) -> socket.socket:
    sock = socket.socket(family, socket.SOCK_STREAM)
    try:
        _set_options(sock, settings)
        sock.bind(address)
        sock.listen(BACKLOG)
    except OSError:
        sock.close()
        raise
    return sock


def _set_options(sock: socket.socket, settings: Settings) -> None:
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    if sys.platform == "linux":
        stall_ms = min(settings.client_stall_ns // NS_PER_MS, MILLISECONDS_MAX)
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, stall_ms)
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPIDLE, PROBE_S)
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPINTVL, PROBE_S)


def _named(error: OSError, settings: Settings) -> ConfigError:
    if error.errno == errno.EADDRINUSE:
        return AddressTaken(settings.host, settings.port)
    if error.errno == errno.EACCES:
        return ConfigError(f"port: {settings.port} may be used by the administrator only; choose one above 1023")
    return ConfigError(f"host: {settings.host} is no address of this machine")
