"""The listening socket: bound early, honest about a taken port, closed to others."""

import errno
import socket
import sys

import pytest

from service.listener import PROBE_S, AddressTaken, bind
from statemachines.errors import ConfigError
from statemachines.units import FOREVER_NS, NS_PER_S
from tests.service.shell import settings


def test_port_0_takes_a_free_one_that_listens() -> None:
    with bind(settings(port=0)) as listener:
        host, port = listener.getsockname()
        with socket.create_connection((host, port)):
            assert (host, port != 0) == ("127.0.0.1", True)


def test_a_taken_port_is_an_error_of_its_own() -> None:
    with bind(settings(port=0)) as listener:
        port = listener.getsockname()[1]
        with pytest.raises(AddressTaken) as caught:
            bind(settings(port=port))

    assert (caught.value.host, caught.value.port) == ("127.0.0.1", port)
    assert isinstance(caught.value, ConfigError)


@pytest.mark.parametrize("host", ["0.0.0.0", ""])
def test_an_address_that_others_reach_needs_consent(host: str) -> None:
    with pytest.raises(ConfigError, match="--allow-remote"):
        bind(settings(host=host, port=0))


def test_with_consent_it_listens_on_every_address() -> None:
    with bind(settings(host="0.0.0.0", port=0, allow_remote=True)) as listener:
        assert listener.getsockname()[0] == "0.0.0.0"


def test_localhost_is_loopback() -> None:
    with bind(settings(host="localhost", port=0)) as listener:
        assert listener.getsockname()[0] in ("127.0.0.1", "::1")


@pytest.mark.parametrize("host", ["no host at all", "203.0.113.7", "a..b", f"{'a' * 64}.example"])
def test_an_address_that_is_not_ours_is_a_config_error(host: str) -> None:
    with pytest.raises(ConfigError, match="host"):
        bind(settings(host=host, port=0, allow_remote=True))


def test_a_kind_of_address_that_this_machine_does_not_have_is_a_config_error(monkeypatch: pytest.MonkeyPatch) -> None:
    def without_ipv6(family: int, *_: object) -> socket.socket:
        raise OSError(errno.EAFNOSUPPORT, "Address family not supported by protocol")

    monkeypatch.setattr(socket, "socket", without_ipv6)
    with pytest.raises(ConfigError, match="host: ::1 is no address of this machine"):
        bind(settings(host="::1", port=0))


def test_a_client_may_be_given_all_the_time_there_is() -> None:
    with bind(settings(port=0, client_stall_ns=FOREVER_NS)):
        pass


@pytest.mark.skipif(sys.platform != "linux", reason="the option exists on Linux only")
def test_accepted_connections_inherit_what_finds_clients_that_are_gone() -> None:
    with (
        bind(settings(port=0, client_stall_ns=7 * NS_PER_S)) as listener,
        socket.create_connection(listener.getsockname()),
        listener.accept()[0] as accepted,
    ):
        assert accepted.getsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT) == 7000
        assert accepted.getsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE) == 1
        assert accepted.getsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPIDLE) == PROBE_S
