"""The word to systemd that the service answers."""

import socket
from pathlib import Path

import pytest

from service.cli.notify import say_ready
from service.ready import Ready

READY = Ready("127.0.0.1", 8080, 3, "an engine", 2)
WORDS = b"READY=1\nSTATUS=answers on http://127.0.0.1:8080, 3 models\n"


def heard_at(address: str) -> socket.socket:
    ear = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
    ear.bind(address)
    ear.settimeout(30)
    return ear


def test_it_is_said_at_a_path(tmp_path: Path) -> None:
    path = str(tmp_path / "notify")
    with heard_at(path) as ear:
        say_ready(READY, {"NOTIFY_SOCKET": path})
        assert ear.recv(4096) == WORDS


@pytest.mark.skipif(not hasattr(socket, "AF_VSOCK"), reason="only Linux has abstract sockets")
def test_it_is_said_at_an_abstract_name(tmp_path: Path) -> None:
    with heard_at(f"\0{tmp_path}") as ear:
        say_ready(READY, {"NOTIFY_SOCKET": f"@{tmp_path}"})
        assert ear.recv(4096) == WORDS


def test_a_listener_that_hears_nothing_more_is_not_waited_for(tmp_path: Path) -> None:
    path = str(tmp_path / "notify")
    with heard_at(path) as ear:
        for _ in range(2_000):  # more than a socket holds
            say_ready(READY, {"NOTIFY_SOCKET": path})
        assert ear.recv(4096) == WORDS


@pytest.mark.parametrize(
    "environ", [{}, {"NOTIFY_SOCKET": ""}, {"NOTIFY_SOCKET": "vsock:2:1"}, {"NOTIFY_SOCKET": "/no"}]
)
def test_without_a_listener_nothing_happens(environ: dict[str, str]) -> None:
    say_ready(READY, environ)
