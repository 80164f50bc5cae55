"""What a service says when it answers."""

import msgspec


class Ready(msgspec.Struct, frozen=True):
    """What the ready line says.

    Attributes:
        host, port: where HTTP really listens.
        models: how many there are [count].
        engine: engine and version, or an empty string when none is installed.
        threads: cores that runners share [count].
        admin: where operators are answered: an address, or ``nowhere``.
    """

    host: str
    port: int
    models: int
    engine: str
    threads: int
    admin: str = ""

    @property
    def address(self) -> str:
        return address_of(self.host, self.port)


def address_of(host: str, port: int) -> str:
    """Where HTTP is spoken, as a URL."""
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"
