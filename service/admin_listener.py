"""The listener of operators: a Unix socket that only its owner may open, or a port that only this machine reaches.

Where the main listener is for this machine only, there is none by default: operators ask there. Where other machines
reach the main listener, operators get a socket in the state folder. There is no consent that opens it to other
machines: what it shows has no password, and whoever needs it elsewhere puts a proxy that asks for one in front.
"""

import os
import socket
import stat
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path

import msgspec
from structlog.typing import FilteringBoundLogger

from service.admin_address import SOCKET_FILE, UNIX, check_admin_address, split_address
from service.config import Settings
from service.http.guard import listens_locally
from service.listener import BACKLOG, AddressTaken, bind
from service.state.lock import FileLock
from statemachines.errors import ConfigError

LOCK_SUFFIX = ".lock"
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
    with ExitStack() as held:
        sock, why = None, "the state folder cannot be written to"
        if folder is not None:
            try:
                sock = held.enter_context(_socket_file(folder / SOCKET_FILE))
            except ConfigError as error:
                why = str(error)
        if sock is None:
            log.warning("operators have no listener; name one with --admin-listen", why=why)
        yield sock


@contextmanager
def _bound(address: str, settings: Settings) -> Iterator[socket.socket]:
    if address.startswith(UNIX):
        with _socket_file(Path(address.removeprefix(UNIX))) as sock:
            yield sock
    else:
        with _bind_loopback(address, settings) as sock:
            yield sock


def _bind_loopback(address: str, settings: Settings) -> socket.socket:
    check_admin_address(address)
    host, port = split_address(address)
    try:
        return bind(msgspec.structs.replace(settings, host=host, port=port))
    except AddressTaken as error:
        raise ConfigError(
            f"admin_listen: {error}, or is where this service answers clients; choose another port, or unix:/PATH"
        ) from None
    except ConfigError as error:
        raise ConfigError(f"admin_listen: {error}") from None


@contextmanager
def _socket_file(path: Path) -> Iterator[socket.socket]:
    """A socket file that goes with us; whoever wants the same place needs its lock first, also to clear it.

    The file's number alone does not tell whose it is: the system gives the number of a removed file to the next one.

    Raises:
        ConfigError: there is something else, a server that answers, or no way to make it.
    """
    with ExitStack() as held:
        try:
            held.callback(FileLock(path.with_name(path.name + LOCK_SUFFIX)).close)
            _make_room(path)
            sock = held.enter_context(_bind_file(path))
        except BlockingIOError:
            raise _is_taken(path) from None
        except OSError as error:
            why = error.strerror or str(error)
            raise ConfigError(f"admin_listen: {path} cannot be made a socket ({why}); name another path") from None
        ours = _identity(path)
        try:
            yield sock
        finally:
            with suppress(OSError):
                if _identity(path) == ours:
                    path.unlink()


def _bind_file(path: Path) -> socket.socket:
    """It is for its owner only, from its first moment.

    Raises:
        OSError: it cannot be made.
    """
    sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    before = os.umask(OWNER_ONLY)
    try:
        sock.bind(str(path))
        sock.listen(BACKLOG)
    except OSError:
        sock.close()
        raise
    finally:
        os.umask(before)
    return sock


def _identity(path: Path) -> tuple[int, int, int]:
    found = path.lstat()
    return found.st_dev, found.st_ino, found.st_mtime_ns


def _make_room(path: Path) -> None:
    """(1) Nothing is there. (2) It is no socket. (3) Somebody answers. (4) Nobody does: a server that was killed."""
    try:
        mode = path.lstat().st_mode
    except FileNotFoundError:  # (1)
        return
    if not stat.S_ISSOCK(mode):  # (2)
        raise ConfigError(f"admin_listen: {path} is there already and is no socket; name another path")
    if _is_answered(path):  # (3)
        raise _is_taken(path)
    path.unlink(missing_ok=True)  # (4)


def _is_taken(path: Path) -> ConfigError:
    return ConfigError(f"admin_listen: another server answers on {path}; name another path")


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


def shown(sock: socket.socket) -> str:
    """Where it is, as a person writes it: ``unix:/PATH`` or ``http://127.0.0.1:9000``."""
    name = sock.getsockname()
    if sock.family == socket.AF_UNIX:
        return f"{UNIX}{name}"
    host = f"[{name[0]}]" if sock.family == socket.AF_INET6 else name[0]
    return f"http://{host}:{name[1]}"
