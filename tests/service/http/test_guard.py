"""The Host guard over friendly and hostile values."""

import pytest

from service.http.guard import (
    host_of,
    interface_addresses,
    is_allowed_address,
    is_allowed_name,
    is_loopback,
    listens_locally,
)

MINE = frozenset({"203.0.113.7", "2001:db8::7"})


def is_allowed(authority: str) -> bool:
    host = host_of(authority)
    return host is not None and (is_allowed_name(host, "Workbench") or is_allowed_address(host, lambda: MINE))


@pytest.mark.parametrize(
    "authority",
    [
        "",
        "localhost",
        "localhost:11434",
        "LOCALHOST:11434",
        "localhost.",
        "workbench",
        "WorkBench:8080",
        "box.local",
        "box.local.:80",
        "a.b.localhost",
        "host.docker.internal:11434",
        "127.0.0.1",
        "127.0.0.1:11434",
        "127.8.9.10:1",
        "0.0.0.0:11434",
        "[::1]:11434",
        "[::1]",
        "::1",
        "[::]:1",
        "[::ffff:127.0.0.1]:1",
        "10.1.2.3",
        "172.16.0.1:80",
        "172.31.255.255",
        "192.168.1.20:11434",
        "[fd12:3456::1]:11434",
        "203.0.113.7:11434",
        "[2001:db8::7]:11434",
        "[2001:db8::7%eth0]:11434",
    ],
)
def test_a_name_or_address_of_this_machine_is_let_in(authority: str) -> None:
    assert is_allowed(authority)


@pytest.mark.parametrize(
    "authority",
    [
        "example.com",
        "example.com:11434",
        "localhost.example.com",
        "127.0.0.1.example.com:11434",
        "notlocalhost",
        "local",
        ".local",
        "..local",
        "evil..local",
        "evil.com/.local",
        "evil.com?.localhost",
        "evil.com#.localhost",
        "evil.com .local",
        "evil.com@x.local",
        "localhost..",
        "localhost:11434:evil",
        "localhost:port",
        "localhost:-1",
        "localhost@example.com",
        "[localhost]x",
        "[::1",
        "::1]:80",
        "[::1]evil.com:80",
        "127.1",
        "2130706433",
        "0x7f.0.0.1",
        "127.0.0.01",
        "8.8.8.8",
        "172.32.0.1",
        "169.254.169.254",
        "[2001:4860:4860::8888]:80",
        "[::ffff:8.8.8.8]:80",
        "workbench.example.com",
        "\u0000localhost",
        "local\u212aost.local",
    ],
)
def test_a_name_that_a_stranger_may_own_is_kept_out(authority: str) -> None:
    assert not is_allowed(authority)


def test_interfaces_are_asked_only_about_an_address_that_nothing_else_allows() -> None:
    asked: list[bool] = []

    def addresses() -> frozenset[str]:
        asked.append(True)
        return MINE

    assert is_allowed_address("127.0.0.1", addresses)
    assert not is_allowed_address("example.com", addresses)
    assert not asked
    assert is_allowed_address("203.0.113.7", addresses)
    assert asked


def test_this_machine_has_the_loopback_address() -> None:
    assert "127.0.0.1" in interface_addresses()


@pytest.mark.parametrize(
    ("host", "expected"),
    [
        ("127.0.0.1", True),
        ("127.1.2.3", True),
        ("::1", True),
        ("::ffff:127.0.0.1", True),
        ("localhost", False),
        ("0.0.0.0", False),
        ("::", False),
        ("192.168.1.20", False),
        ("example.com", False),
        ("", False),
    ],
)
def test_loopback_is_what_never_leaves_the_machine(host: str, expected: bool) -> None:
    assert is_loopback(host) is expected


@pytest.mark.parametrize(
    ("host", "expected"),
    [
        ("127.0.0.1", True),
        ("::1", True),
        ("localhost", True),
        ("0.0.0.0", False),
        ("::", False),
        ("", False),
        ("192.168.1.20", False),
        ("no-such-name.invalid", False),
        ("a..b", False),
    ],
)
def test_a_listener_is_local_when_every_address_of_its_name_is_loopback(host: str, expected: bool) -> None:
    assert listens_locally(host) is expected
