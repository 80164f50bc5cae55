"""Where a server listens and where a client finds it, in all the forms that ``OLLAMA_HOST`` has."""

import ipaddress

import msgspec

DEFAULT_HOST = "127.0.0.1"
DEFAULT_PORT = 11434
_SCHEME_PORTS = {"http": 80, "https": 443}
_TLS_BY_DEFAULT = "ollama.com"
"""The one host that is meant with TLS when no scheme is written."""
_REACHED_THROUGH = {"": DEFAULT_HOST, "0.0.0.0": DEFAULT_HOST, "::": "::1"}
"""A server on every address is found on the loopback one."""

ADDRESS_FORMS = "HOST, HOST:PORT, :PORT or a URL, with a port from 0 to 65535"


class Address(msgspec.Struct, frozen=True):
    """One address as it was written.

    Attributes:
        scheme: ``http`` or ``https``.
        host: without brackets; empty for every address of this machine.
        port: None when none was written or implied by a written scheme.
        path: what follows the host, without a slash at the end; only clients use it.
    """

    scheme: str = "http"
    host: str = DEFAULT_HOST
    port: int | None = None
    path: str = ""

    @property
    def is_loopback(self) -> bool:
        return is_loopback(_REACHED_THROUGH.get(self.host, self.host))

    def url(self, port: int) -> str:
        """What a client on this machine asks."""
        host = _REACHED_THROUGH.get(self.host, self.host)
        return f"{self.scheme}://{bracketed(host)}:{port}{self.path}"


def is_loopback(host: str) -> bool:
    """Whether only this machine can reach ``host``; the empty host is every address, so it is not."""
    if host.lower() == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def bracketed(host: str) -> str:
    """``host`` as it stands before a port."""
    return f"[{host}]" if ":" in host else host


def parse_address(text: str) -> Address:
    """The address that ``text`` means.

    Raises:
        ValueError: no host can be read from it, or its port is no port.
    """
    address, port_text = _split(text)
    if port_text is None:
        return address
    if not (port_text.isascii() and port_text.isdecimal() and int(port_text) <= 65535):
        raise ValueError(f"{port_text!r} is no port")
    return msgspec.structs.replace(address, port=int(port_text))


def parse_address_leniently(text: str) -> Address:
    """As `parse_address`, but a bad port becomes the default one, as Ollama has it."""
    try:
        return parse_address(text)
    except ValueError:
        address, _ = _split(text)
        return msgspec.structs.replace(address, port=_SCHEME_PORTS[address.scheme] if "://" in text else DEFAULT_PORT)


def _split(text: str) -> tuple[Address, str | None]:
    """(address without an explicit port, the text of the port that was written).

    1. A scheme implies its own port; only http and https are known.
    2. ``ollama.com`` without a scheme means https.
    3. A bare IPv6 address has colons but no port.
    4. Otherwise a colon separates host and port.
    """
    scheme, separator, rest = text.rpartition("://")
    hostport, _, path = rest.partition("/")
    path = f"/{path.strip('/')}" if path.strip("/") else ""
    if separator and scheme not in _SCHEME_PORTS:  # (1)
        raise ValueError(f"{scheme!r} is neither http nor https")
    if not separator and hostport == _TLS_BY_DEFAULT:  # (2)
        scheme, separator = "https", "://"
    implied = _SCHEME_PORTS[scheme] if separator else None
    host, port_text = _host_and_port(hostport)
    if any(character.isspace() for character in host):
        raise ValueError(f"{host!r} is no host")
    return Address(scheme=scheme or "http", host=host, port=implied, path=path), port_text


def _host_and_port(hostport: str) -> tuple[str, str | None]:
    if hostport.count(":") > 1 and not hostport.startswith("["):  # (3)
        return hostport, None
    if hostport.startswith("["):
        host, _, rest = hostport[1:].partition("]")
        return host, rest[1:] if rest.startswith(":") else None
    host, separator, port_text = hostport.partition(":")  # (4)
    return host, port_text if separator else None
