"""The listener of operators: a Unix socket that only its owner may open, or a port that only this machine reaches.

Where the main listener is for this machine only, there is none by default: operators ask there. Where other machines
reach the main listener, operators get a socket in the state folder. There is no consent that opens it to other
machines: what it shows has no password, and whoever needs it elsewhere puts a proxy that asks for one in front.
"""

import os
import socket
import stat
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import msgspec
from structlog.typing import FilteringBoundLogger

from service.config import Settings
from service.http.guard import listens_locally
from service.listener import BACKLOG, bind
from statemachines.errors import ConfigError

UNIX = "unix:"
SOCKET_FILE = "admin.sock"
"""In the state folder."""
OWNER_ONLY = 0o177
"""What a new socket file must not allow: anything to anybody but its owner."""


@contextmanager
def admin_listener(
    settings: Settings, folder: Path | None, log: FilteringBoundLogger
) -> Iterator[socket.socket | None]:
    """The socket on which operators are answered; None when that is the main one, or when there can be none.

    Args:
        folder: the state folder, if this server may write to it.

    Raises:
        ConfigError: the address that was asked for cannot be had.
    """
    if settings.admin_listen is not None:
        with _bound(settings.admin_listen, settings) as sock:
            yield sock
    elif listens_locally(settings.host):
        yield None
    else:
        with _bound_by_default(settings, folder, log) as sock:
            yield sock


@contextmanager
def _bound_by_default(
    settings: Settings, folder: Path | None, log: FilteringBoundLogger
) -> Iterator[socket.socket | None]:
    """Nobody asked for it, so the service goes on without: clients must not wait for what operators miss."""
    why = "the state folder cannot be written to"
    if folder is not None:
        try:
            sock = _bind_file(folder / SOCKET_FILE)
        except ConfigError as error:
            why = str(error)
        else:
            with _until_closed(sock, folder / SOCKET_FILE):
                yield sock
            return
    log.warning("operators have no listener; name one with --admin-listen", why=why)
    yield None


@contextmanager
def _bound(address: str, settings: Settings) -> Iterator[socket.socket]:
    if address.startswith(UNIX):
        path = Path(address.removeprefix(UNIX))
        with _until_closed(_bind_file(path), path) as sock:
            yield sock
    else:
        with _bind_loopback(address, settings) as sock:
            yield sock


def _bind_loopback(address: str, settings: Settings) -> socket.socket:
    host, _, port = address.rpartition(":")
    host = host.strip("[]")
    if not listens_locally(host):
        raise ConfigError(
            f"admin_listen: {host or 'every address'} can be reached from other machines, and what operators see has "
            "no password; choose a loopback address or unix:/PATH, and put a proxy that asks for one in front"
        )
    try:
        return bind(msgspec.structs.replace(settings, host=host, port=int(port)))
    except ConfigError as error:
        raise ConfigError(f"admin_listen: {error}") from None


def _bind_file(path: Path) -> socket.socket:
    """A socket file for its owner only; one that a server has left behind is replaced.

    Raises:
        ConfigError: there is something else, a server that answers, or no way to make it.
    """
    sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        _make_room(path)
        before = os.umask(OWNER_ONLY)
        try:
            sock.bind(str(path))
        finally:
            os.umask(before)
        sock.listen(BACKLOG)
    except OSError as error:
        sock.close()
        why = error.strerror or str(error)
        raise ConfigError(f"admin_listen: {path} cannot be made a socket ({why}); name another path") from None
    except ConfigError:
        sock.close()
        raise
    return sock


def _make_room(path: Path) -> None:
    """(1) Nothing is there. (2) It is no socket. (3) Somebody answers. (4) Nobody does: a server that was killed."""
    try:
        mode = path.lstat().st_mode
    except FileNotFoundError:  # (1)
        return
    if not stat.S_ISSOCK(mode):  # (2)
        raise ConfigError(f"admin_listen: {path} is there already and is no socket; name another path")
    if _is_answered(path):  # (3)
        raise ConfigError(f"admin_listen: another server answers on {path}; name another path")
    path.unlink(missing_ok=True)  # (4)


def _is_answered(path: Path) -> bool:
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as client:
        client.setblocking(False)
        try:
            client.connect(str(path))
        except BlockingIOError:
            return True  # so many wait for it that there is no room for one more
        except (ConnectionRefusedError, FileNotFoundError):
            return False
        return True


@contextmanager
def _until_closed(sock: socket.socket, path: Path) -> Iterator[socket.socket]:
    """Remove the file with the socket, unless another server has put its own there meanwhile."""
    with sock:
        ours = path.lstat().st_ino  # Nobody else's while the socket is open.
        try:
            yield sock
        finally:
            with suppress(OSError):
                if path.lstat().st_ino == ours:
                    path.unlink()


def shown(sock: socket.socket) -> str:
    """Where it is, as a person writes it: ``unix:/PATH`` or ``http://127.0.0.1:9000``."""
    name = sock.getsockname()
    if sock.family == socket.AF_UNIX:
        return f"{UNIX}{name}"
    host = f"[{name[0]}]" if sock.family == socket.AF_INET6 else name[0]
    return f"http://{host}:{name[1]}"
