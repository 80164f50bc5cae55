"""What the link thread does: bytes from the socket to the inbox, messages from the outbox to the socket.

`runner.link` tells how it belongs together.
"""

import selectors
import signal
import socket
import time
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
    """Owns the socket and both reading ends of the wake-ups; `run` is the link thread."""

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
                self._write_all()
                self._want_to_write(bool(self._unsent))
                for key, ready in self._selector.select():
                    key.data(ready)
        except BaseException as error:  # Nobody else would notice that this thread is gone.
            leave_after(error)

    def _write_all(self) -> None:
        """Write the outbox, message by message, as far as the socket takes it; then do what was left to do.

        Why not wait until the socket says that it takes something: it nearly always does, and a token that has to go
        through the selector first reaches its client a tenth of a millisecond later.
        """
        while not self._unsent:
            if self._final_status is not None:
                leave(self._final_status)
            try:
                item = self._outbox.get_nowait()
            except Empty:
                return
            if isinstance(item, int):
                self._final_status = item
            else:
                self._unsent = memoryview(self._link.send(item))
                self._write()

    def _write(self) -> None:
        try:
            self._unsent = self._unsent[self._sock.send(self._unsent) :]
        except BlockingIOError:
            pass
        except ConnectionError:
            self._on_data(b"")

    def _want_to_write(self, wanted: bool) -> None:
        events = selectors.EVENT_READ | (selectors.EVENT_WRITE if wanted else 0)
        key = self._selector.get_key(self._sock)
        if key.events != events:
            self._selector.modify(self._sock, events, key.data)

    def _on_socket(self, ready: int) -> None:
        if ready & selectors.EVENT_WRITE:
            self._write()
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
        for message in self._link.receive(data):
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
        if signal.SIGTERM in _drain(woken) and not self._link.is_stopping:
            self._link.stop()
            self._on_stop()

    def _on_stop(self) -> None:
        if self._link.phase is not Phase.READY:
            leave(ExitStatus.DONE)
        self._inbox.put(Shutdown())


def _drain(woken: socket.socket) -> bytes:
    return woken.recv(4096)
