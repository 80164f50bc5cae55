"""Who can reach the service at all: nobody from another machine, unless somebody has said so in writing."""

import socket
from pathlib import Path

import pytest

from service.config import Settings
from service.http.guard import is_loopback
from service.listener import bind
from statemachines.errors import ConfigError

EVERY_ADDRESS = ["0.0.0.0", "::", ""]
REACHABLE = ["192.168.1.5", "10.0.0.1", "100.64.0.1", "169.254.1.1", "203.0.113.7", "2001:db8::7"]
"""Judged before anybody asks whether they are addresses of this machine."""


def settings(host: str, *, consent: bool = False) -> Settings:
    return Settings(host=host, port=0, allow_remote=consent, models=Path("/nowhere"), state=Path("/nowhere"))


def test_mass_exposure_by_default_only_this_machine_can_ask() -> None:
    assert is_loopback(Settings(models=Path("/nowhere"), state=Path("/nowhere")).host)


@pytest.mark.parametrize("host", [*EVERY_ADDRESS, *REACHABLE])
def test_mass_exposure_an_address_that_others_reach_needs_written_consent(host: str) -> None:
    with pytest.raises(ConfigError, match="consent with --allow-remote"):
        bind(settings(host))


def test_mass_exposure_with_consent_it_listens() -> None:
    with bind(settings("0.0.0.0", consent=True)) as listener:
        assert listener.getsockname()[0] == "0.0.0.0"


def test_mass_exposure_a_name_is_judged_by_where_it_leads(monkeypatch: pytest.MonkeyPatch) -> None:
    """A name that looks local and is not."""

    def resolve(*_: object, **__: object) -> list[tuple[object, ...]]:
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", ("192.0.2.7", 0))]

    monkeypatch.setattr(socket, "getaddrinfo", resolve)
    with pytest.raises(ConfigError, match="consent with --allow-remote"):
        bind(settings("localhost"))
