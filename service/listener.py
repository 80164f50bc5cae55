"""The listening socket, bound before anything else starts, so that a taken port is known at once.

The HTTP server takes it over by descriptor. `TCP_USER_TIMEOUT` is inherited by every accepted connection: a client
that stays connected and never reads again would otherwise hold the server's shutdown for ever, because its send is
shielded from being cancelled.
"""

import errno
import ipaddress
import os
import socket
import sys
from collections.abc import Iterator
from contextlib import suppress

from service.config import Settings
from statemachines.errors import ConfigError
from statemachines.units import NS_PER_MS

BACKLOG = 128


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
    sock = socket.socket(family, socket.SOCK_STREAM)
    try:
        _listen(sock, address, settings)
    except OSError as error:
        sock.close()
        raise _named(error, settings) from None
    return sock


def _resolve(host: str, port: int) -> tuple[socket.AddressFamily, tuple[str, int]]:
    try:
        found = socket.getaddrinfo(host or None, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
    except OSError:
        raise ConfigError(f"host: {host!r} is no address of this machine and no name that can be resolved") from None
    family, _, _, _, address = found[0]
    return family, (str(address[0]), int(address[1]))


def _listen(sock: socket.socket, address: tuple[str, int], settings: Settings) -> None:
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    if sys.platform == "linux":
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, settings.client_stall_ns // NS_PER_MS)
    sock.bind(address)
    sock.listen(BACKLOG)


def _named(error: OSError, settings: Settings) -> ConfigError:
    if error.errno == errno.EADDRINUSE:
        return AddressTaken(settings.host, settings.port)
    if error.errno == errno.EACCES:
        return ConfigError(f"port: {settings.port} may be used by the administrator only; choose one above 1023")
    return ConfigError(f"host: {settings.host} is no address of this machine")


def cut_connections(port: int) -> None:
    """End every connection that was accepted on our port, whoever holds it.

    The HTTP server gives no handle on its connections, and one whose client does not read cannot be cancelled. So the
    process looks through its own descriptors; shutting a duplicate down ends the connection itself.
    """
    for sock in _own_sockets():
        with sock, suppress(OSError):
            if sock.getsockname()[1] == port and sock.getpeername():
                sock.shutdown(socket.SHUT_RDWR)


def _own_sockets() -> Iterator[socket.socket]:
    """A duplicate of each TCP socket that this process holds."""
    for name in os.listdir("/dev/fd"):
        try:
            duplicate = os.dup(int(name))
        except OSError:
            continue
        yield from _as_tcp_socket(duplicate)


def _as_tcp_socket(fd: int) -> Iterator[socket.socket]:
    try:
        sock = socket.socket(fileno=fd)
    except OSError:
        os.close(fd)
        return
    if sock.family in (socket.AF_INET, socket.AF_INET6) and sock.type == socket.SOCK_STREAM:
        yield sock
    else:
        sock.close()
