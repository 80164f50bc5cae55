"""The Host guard: a web page whose name was rebound to this machine must not reach the API.

It is active on a loopback listener: there a browser on this machine is the one way in for a stranger, and a browser
always says in ``Host`` which name it believes it talks to. What only this machine may see is guarded on every listener
(`service.http.operators.gate`).
"""

import ipaddress
import re
import socket
from collections.abc import Callable

import psutil

_IPAddress = ipaddress.IPv4Address | ipaddress.IPv6Address

_PRIVATE_NETWORKS = tuple(
    ipaddress.ip_network(network) for network in ("10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16", "fc00::/7")
)
_LOCAL_SUFFIXES = (".localhost", ".local", ".internal")
_NAME = re.compile(r"[a-z0-9_-]+(\.[a-z0-9_-]+)*")
_AUTHORITY = re.compile(r"(?P<host>\[[^\[\]]*\]|[^:\[\]]*)(:[0-9]*)?")


def is_loopback(host: str) -> bool:
    """Whether ``host`` is an address that never leaves this machine."""
    address = _address(host)
    return address is not None and address.is_loopback


def listens_locally(host: str) -> bool:
    """Whether a listener on ``host``, perhaps a name, can be reached from this machine only."""
    if not host:
        return False  # every interface
    try:
        found = socket.getaddrinfo(host, None, type=socket.SOCK_STREAM)
    except (OSError, UnicodeError):
        return False
    return all(is_loopback(str(address[0])) for *_, address in found)


def host_of(authority: str) -> str | None:
    """The host part of a ``Host`` header, lower-cased, without port, brackets and one trailing dot; None if bad."""
    if not authority.isascii():
        return None
    if _address(authority):  # an IPv6 address without brackets: all its colons are its own
        return authority.lower()
    match = _AUTHORITY.fullmatch(authority)
    return match["host"].strip("[]").lower().removesuffix(".") if match else None


def may_name(authority: str, machine_name: str) -> bool:
    """Whether a ``Host`` header can only mean this machine or its own network."""
    host = host_of(authority)
    if host is None:
        return False
    return is_allowed_name(host, machine_name) or is_allowed_address(host, interface_addresses)


def is_allowed_name(host: str, machine_name: str) -> bool:
    """Whether a name can only mean this machine or its own network."""
    if host in ("", "localhost", machine_name.lower()):
        return True
    return _NAME.fullmatch(host) is not None and host.endswith(_LOCAL_SUFFIXES)


def is_allowed_address(host: str, interface_addresses: Callable[[], frozenset[str]]) -> bool:
    """Whether ``host`` is an address that no stranger's name server can have any use for.

    Args:
        interface_addresses: asked only when nothing else allows the address, because it costs a system call.
    """
    address = _address(host)
    if address is None:
        return False
    if address.is_loopback or address.is_unspecified or any(address in network for network in _PRIVATE_NETWORKS):
        return True
    return str(address) in interface_addresses()


def machine_name() -> str:
    """This machine's name, as users type it."""
    return socket.gethostname()


def interface_addresses() -> frozenset[str]:
    """The addresses of this machine's interfaces, read afresh: a VPN may come and go."""
    listed = (entry.address for entries in psutil.net_if_addrs().values() for entry in entries)
    return frozenset(str(address) for address in map(_address, listed) if address)


def _address(text: str) -> _IPAddress | None:
    """The IP address that ``text`` spells, without its zone, an IPv4 one out of its IPv6 coat; None for a name."""
    try:
        address = ipaddress.ip_address(text.partition("%")[0])
    except ValueError:
        return None
    if isinstance(address, ipaddress.IPv6Address) and address.ipv4_mapped:
        return address.ipv4_mapped
    return address
