"""Bytes from the socket to the inbox, messages from the outbox to the socket.

`runner.link` tells how it belongs together. Both threads write, one at a time: the engine thread what it has just said
(`send_at_once`), the link thread what the socket did not take then. Only the link thread reads, and waits.
"""

import selectors
import signal
import socket
import threading
import time
from contextlib import suppress
from queue import Empty, SimpleQueue
from typing import NoReturn

from runner.ending import leave, leave_after
from runner.tasks import CancelRead
from statemachines.wire.exits import ExitStatus
from statemachines.wire.link import Phase, Task, runner_link
from statemachines.wire.messages import Cancel, Hello, Shutdown, ToRunner, ToService

RECEIVE_BYTES_MAX = 1 << 18
"""Read from the socket at a time; about what a socket buffer holds."""


class Pump:
    """Owns the socket and both reading ends of the wake-ups; `run` is the link thread.

    The lock guards the socket's writing end, what is unsent, and the link's state, which every message changes.
    """

    def __init__(
        self,
        sock: socket.socket,
        task: Task,
        inbox: SimpleQueue[ToRunner],
        outbox: SimpleQueue[ToService | int],
        outbox_woken: socket.socket,
        signal_woken: socket.socket,
    ) -> None:
        self._sock = sock
        self._sock.setblocking(False)
        self._lock = threading.Lock()
        self._link = runner_link(task)
        self._inbox = inbox
        self._outbox = outbox
        self._unsent = memoryview(b"")
        self._final_status: int | None = None
        self._selector = selectors.DefaultSelector()
        self._selector.register(sock, selectors.EVENT_READ, self._on_socket)
        self._selector.register(outbox_woken, selectors.EVENT_READ, lambda _: _drain(outbox_woken))
        self._selector.register(signal_woken, selectors.EVENT_READ, lambda _: self._on_signal(signal_woken))

    def run(self) -> NoReturn:
        """Read and write until one of the four ends."""
        try:
            while True:
                self._catch_up()
                for key, ready in self._selector.select():
                    key.data(ready)
        except BaseException as error:  # Nobody else would notice that this thread is gone.
            leave_after(error)

    def _catch_up(self) -> None:
        """Write what can be written, and know what to wait for; or end, where that was all."""
        with self._lock:
            try:
                self._write_all()
            except ConnectionError:
                self._on_data(b"")
            if self._final_status is not None and not self._unsent:
                leave(self._final_status)
            self._want_to_write(bool(self._unsent))

    def send_at_once(self) -> bool:
        """Write the outbox from the engine thread, if the socket takes all of it now.

        Why not leave it to the link thread: the engine goes straight on to the next step with every core it may use,
        and a token that needs another thread before it leaves the process waits for one of them.

        Returns:
            Whether nothing is left for the link thread to do; it has to be woken otherwise.
        """
        if not self._lock.acquire(blocking=False):
            return False
        try:
            self._write_all()
            return not self._unsent and self._final_status is None
        except ConnectionError:
            return False
        except BaseException as error:
            leave_after(error)
        finally:
            self._lock.release()

    def _write_all(self) -> None:
        """Write the outbox, message by message, as far as the socket takes it.

        Why not wait until the socket says that it takes something: it nearly always does.
        """
        while True:
            if self._unsent:
                self._write()
            if self._unsent or self._final_status is not None:
                return
            try:
                item = self._outbox.get_nowait()
            except Empty:
                return
            if isinstance(item, int):
                self._final_status = item
            else:
                self._unsent = memoryview(self._link.send(item))

    def _write(self) -> None:
        with suppress(BlockingIOError):
            self._unsent = self._unsent[self._sock.send(self._unsent) :]

    def _want_to_write(self, wanted: bool) -> None:
        events = selectors.EVENT_READ | (selectors.EVENT_WRITE if wanted else 0)
        key = self._selector.get_key(self._sock)
        if key.events != events:
            self._selector.modify(self._sock, events, key.data)

    def _on_socket(self, ready: int) -> None:
        """What can be written is written before the next wait."""
        if ready & selectors.EVENT_READ:
            self._read()

    def _read(self) -> None:
        try:
            data = self._sock.recv(RECEIVE_BYTES_MAX)
        except BlockingIOError:
            return
        except ConnectionError:
            data = b""
        self._on_data(data)

    def _on_data(self, data: bytes) -> None:
        if not data:
            leave(ExitStatus.LINK_CLOSED, "the service has closed the link")
        with self._lock:
            messages = self._link.receive(data)
        for message in messages:
            self._deliver(message)

    def _deliver(self, message: ToRunner) -> None:
        match message:
            case Hello():
                pass
            case Shutdown():
                self._on_stop()
            case Cancel(lease=lease):
                self._inbox.put(CancelRead(lease, time.monotonic_ns()))
            case _:
                self._inbox.put(message)

    def _on_signal(self, woken: socket.socket) -> None:
        if signal.SIGTERM not in _drain(woken) or self._link.is_stopping:
            return
        with self._lock:
            self._link.stop()
        self._on_stop()

    def _on_stop(self) -> None:
        if self._link.phase is not Phase.READY:
            leave(ExitStatus.DONE)
        self._inbox.put(Shutdown())


def _drain(woken: socket.socket) -> bytes:
    return woken.recv(4096)
