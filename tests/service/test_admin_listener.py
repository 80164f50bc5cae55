"""The operators' listener: for its owner only, there when it is needed, gone when the service is."""

import os
import socket
import stat
from pathlib import Path

import pytest
import structlog

from service.admin_address import SOCKET_FILE
from service.admin_listener import admin_listener, shown
from statemachines.errors import ConfigError
from tests.service.shell import settings

LOG = structlog.get_logger()
REMOTE = {"host": "0.0.0.0", "allow_remote": True}


def left_behind(path: Path) -> None:
    """The socket of a server that was killed."""
    with socket.socket(socket.AF_UNIX) as sock:
        sock.bind(str(path))
        sock.listen()


def connect(path: Path) -> None:
    with socket.socket(socket.AF_UNIX) as client:
        client.connect(str(path))


def test_who_listens_for_this_machine_only_needs_none(tmp_path: Path) -> None:
    with admin_listener(settings(), tmp_path, LOG) as sock:
        assert sock is None
    assert list(tmp_path.iterdir()) == []


def test_who_listens_for_others_gets_a_socket_that_only_its_owner_may_open(tmp_path: Path) -> None:
    path = tmp_path / SOCKET_FILE
    mask = os.umask(0o022)
    try:
        with admin_listener(settings(**REMOTE), tmp_path, LOG) as sock:
            assert sock is not None
            assert stat.S_IMODE(path.stat().st_mode) == 0o600
            assert shown(sock) == f"unix:{path}"
            connect(path)
        assert not path.exists()
    finally:
        assert os.umask(mask) == 0o022


@pytest.mark.parametrize("host", ["127.0.0.1", "0.0.0.0"])
def test_a_path_that_is_asked_for_is_taken_wherever_clients_are(tmp_path: Path, host: str) -> None:
    path = tmp_path / "ops"
    config = settings(host=host, allow_remote=True, admin_listen=f"unix:{path}")
    with admin_listener(config, None, LOG) as sock:
        assert sock is not None
        assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert not path.exists()


def test_the_socket_of_a_server_that_was_killed_is_replaced(tmp_path: Path) -> None:
    path = tmp_path / "ops"
    left_behind(path)
    with admin_listener(settings(admin_listen=f"unix:{path}"), None, LOG):
        connect(path)
    assert not path.exists()


def test_the_socket_of_a_server_that_lives_is_left_alone(tmp_path: Path) -> None:
    config = settings(admin_listen=f"unix:{tmp_path}/ops")
    with admin_listener(config, None, LOG):
        with (
            pytest.raises(ConfigError, match="admin_listen: another server answers on"),
            admin_listener(config, None, LOG),
        ):
            pass
        connect(tmp_path / "ops")


def test_a_server_with_a_crowd_before_its_door_lives(tmp_path: Path) -> None:
    path = tmp_path / "ops"
    with socket.socket(socket.AF_UNIX) as server, socket.socket(socket.AF_UNIX) as first:
        server.bind(str(path))
        server.listen(0)
        first.connect(str(path))
        with (
            pytest.raises(ConfigError, match="another server"),
            admin_listener(settings(admin_listen=f"unix:{path}"), None, LOG),
        ):
            pass


def test_what_is_no_socket_is_neither_used_nor_removed(tmp_path: Path) -> None:
    path = tmp_path / "ops"
    path.write_text("mine")
    with (
        pytest.raises(ConfigError, match="is no socket"),
        admin_listener(settings(admin_listen=f"unix:{path}"), None, LOG),
    ):
        pass
    assert path.read_text() == "mine"


@pytest.mark.parametrize("name", ["nowhere/at/all/ops", "x" * 200])
def test_a_path_that_cannot_be_a_socket_is_refused_by_name(tmp_path: Path, name: str) -> None:
    path = tmp_path / name
    with (
        pytest.raises(ConfigError, match=f"admin_listen: {path} cannot be made a socket"),
        admin_listener(settings(admin_listen=f"unix:{path}"), None, LOG),
    ):
        pass


def test_a_socket_that_another_server_has_put_there_meanwhile_is_not_removed(tmp_path: Path) -> None:
    path = tmp_path / "ops"
    with admin_listener(settings(admin_listen=f"unix:{path}"), None, LOG):
        path.unlink()
        left_behind(path)
    assert path.exists()


def test_a_socket_that_another_server_has_put_there_in_our_last_moment_is_not_removed(tmp_path: Path) -> None:
    """The socket is closed before its file goes, and the file's number may be given to the next one at once."""
    path = tmp_path / "ops"
    with admin_listener(settings(admin_listen=f"unix:{path}"), None, LOG) as sock:
        assert sock is not None
        sock.close()
        number = path.stat().st_ino
        path.unlink()
        for _ in range(100):
            left_behind(path)
            if path.stat().st_ino == number:
                break
            path.unlink()
    assert path.exists()


def test_a_place_that_another_server_is_about_to_take_or_to_leave_is_left_to_it(tmp_path: Path) -> None:
    """In both moments nobody answers there yet, or any more."""
    path = tmp_path / "ops"
    config = settings(admin_listen=f"unix:{path}")
    with admin_listener(config, None, LOG) as sock:
        assert sock is not None
        sock.close()
        with pytest.raises(ConfigError, match="another server answers on"), admin_listener(config, None, LOG):
            pass
        assert path.exists()
    with admin_listener(config, None, LOG):
        connect(path)


def test_a_port_of_this_machine_will_do() -> None:
    with admin_listener(settings(admin_listen="127.0.0.1:0"), None, LOG) as sock:
        assert sock is not None
        with socket.create_connection(sock.getsockname()):
            assert shown(sock) == f"http://127.0.0.1:{sock.getsockname()[1]}"


@pytest.mark.parametrize("host", ["0.0.0.0", "[::]", "192.0.2.7"])
def test_no_consent_opens_it_to_other_machines(host: str) -> None:
    with (
        pytest.raises(ConfigError, match="can be reached from other machines"),
        admin_listener(settings(allow_remote=True, admin_listen=f"{host}:9000"), None, LOG),
    ):
        pass


def test_a_taken_port_is_refused_by_the_name_of_the_setting() -> None:
    with admin_listener(settings(admin_listen="127.0.0.1:0"), None, LOG) as sock:
        assert sock is not None
        port = sock.getsockname()[1]
        with (
            pytest.raises(ConfigError, match=f"^admin_listen: port {port} on 127.0.0.1 is taken") as caught,
            admin_listener(settings(admin_listen=f"127.0.0.1:{port}"), None, LOG),
        ):
            pass
    assert type(caught.value) is ConfigError
    assert "choose another port, or unix:/PATH" in str(caught.value)


def test_where_nobody_asked_for_one_the_service_goes_on_without() -> None:
    with structlog.testing.capture_logs() as lines, admin_listener(settings(**REMOTE), None, LOG) as sock:
        assert sock is None
    (line,) = lines
    assert (line["log_level"], line["why"]) == ("warning", "the state folder cannot be written to")
    assert "--admin-listen" in line["event"]


def test_a_state_folder_that_takes_no_socket_is_no_reason_not_to_serve(tmp_path: Path) -> None:
    folder = tmp_path / ("x" * 120)
    folder.mkdir()
    with structlog.testing.capture_logs() as lines, admin_listener(settings(**REMOTE), folder, LOG) as sock:
        assert sock is None
    assert "cannot be made a socket" in lines[0]["why"]
