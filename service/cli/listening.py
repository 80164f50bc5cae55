"""Where a server listens and where its clients find it, from the host and port settings."""

from collections.abc import Sequence

import msgspec

from service.cli.addresses import DEFAULT_HOST, DEFAULT_PORT, Address, bracketed, is_loopback
from service.cli.declarations import SETTINGS
from service.cli.sources import DEFAULT, Found, Origin, Source, SourceKind, strongest
from service.config import Settings
from statemachines.errors import ConfigError

_HOST, _PORT = (next(setting for setting in SETTINGS if setting.name == name) for name in ("host", "port"))


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


def resolve_place(layers: Sequence[Source]) -> Place:
    """Where a server is, from the host and port settings alone.

    1. A port of its own counts when its source is at least as strong as the host's.
    2. Else the one written in the host counts.
    3. Else any other, or the default.
    """
    host, host_rank = strongest(_HOST, layers) or (Found(Address(), DEFAULT), -1)
    port, port_rank = strongest(_PORT, layers) or (Found(DEFAULT_PORT, DEFAULT), -1)
    own = host.value.port
    if own is None or port_rank >= host_rank >= 0:  # (1) (3)
        return Place(host.value, port.value, host.origin, port.origin)
    return Place(host.value, own, host.origin, host.origin)  # (2)


def check_listening(settings: Settings, place: Place) -> None:
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
