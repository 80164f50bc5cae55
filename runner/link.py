"""The runner's link thread: the only one that touches the socket.

Theory of operation. The engine thread (the main thread) may be inside native code for half a second at a time and
never waits for the socket; this thread does nothing but wait. Two queues join them: the inbox of messages for the
engine and the outbox of messages for the service. A byte on one wake-up socket tells this thread that the outbox has
something, a byte on another that SIGTERM has come: the interpreter writes it from within the signal handler, so that
it arrives even while the engine is in native code.

How the process ends, always by this thread:

- The service's end is closed: at once, whatever the engine is doing. The service is gone or has let go of this
  runner; nobody is left who could use what is being computed.
- Shutdown or SIGTERM while no lease can be open (any phase but READY): at once, there is nothing to put in order.
- Shutdown or SIGTERM in READY: the engine gets a Shutdown, ends its leases and returns.
- The task has returned: what is in the outbox is written, then the process ends.
"""

import contextlib
import selectors
import signal
import socket
import threading
import time
from queue import Empty, SimpleQueue
from typing import NoReturn

from runner.ending import leave, leave_after
from runner.tasks import CancelRead
from statemachines.errors import RemoteWireError
from statemachines.wire.exits import ExitStatus
from statemachines.wire.link import Phase, Task, runner_link
from statemachines.wire.messages import Cancel, Hello, Shutdown, ToRunner, ToService

RECEIVE_BYTES_MAX = 1 << 18
"""Read from the socket at a time; about what a socket buffer holds."""
OUTBOX_LEN_MAX = 1 << 16
"""Messages that may wait for the service to read them: ten minutes of 100 steps a second. A service that has read
nothing for so long does not come back."""


class RunnerLink:
    """Both queues and the thread between them and the socket. All methods are for the engine thread.

    Args:
        sock: our end; this object owns it from now on.
    """

    def __init__(self, sock: socket.socket, task: Task) -> None:
        self._inbox: SimpleQueue[ToRunner] = SimpleQueue()
        self._outbox: SimpleQueue[ToService | int] = SimpleQueue()
        self._outbox_wake, outbox_woken = _wake_up_pair()
        self._signal_wake, signal_woken = _wake_up_pair()
        pump = _Pump(sock, task, self._inbox, self._outbox, outbox_woken, signal_woken)
        self._thread = threading.Thread(target=pump.run, name="link", daemon=True)

    def start(self) -> None:
        """Begin to read and write, and take SIGTERM for a Shutdown."""
        signal.set_wakeup_fd(self._signal_wake.fileno(), warn_on_full_buffer=False)
        signal.signal(signal.SIGTERM, _only_wake_up)
        signal.siginterrupt(signal.SIGTERM, False)  # A native read in the middle of a load is not cut short.
        self._thread.start()

    def receive(self) -> ToRunner:
        """The next message, waiting for it."""
        return self._inbox.get()

    def poll(self) -> ToRunner | None:
        """The next message if there is one."""
        try:
            return self._inbox.get_nowait()
        except Empty:
            return None

    def send(self, message: ToService) -> None:
        """Hand over a message; never waits for the socket.

        Raises:
            RemoteWireError: the service has not read for so long that the outbox is full.
        """
        if self._outbox.qsize() >= OUTBOX_LEN_MAX:
            raise RemoteWireError(f"it has left {OUTBOX_LEN_MAX} messages unread")
        self._put(message)

    def finish(self, status: int) -> NoReturn:
        """Write what is in the outbox, then end the process with ``status``."""
        self._put(status)
        while True:  # The link thread ends the process; a signal may wake this one before.
            self._thread.join()

    def _put(self, item: ToService | int) -> None:
        self._outbox.put(item)
        with contextlib.suppress(BlockingIOError):  # So many wake-ups are unread that one more changes nothing.
            self._outbox_wake.send(b"\0")


def _wake_up_pair() -> tuple[socket.socket, socket.socket]:
    write, read = socket.socketpair()
    write.setblocking(False)
    read.setblocking(False)
    return write, read


def _only_wake_up(_signal: int, _frame: object) -> None:
    """SIGTERM needs a handler for its number to be written to the wake-up socket; there is nothing else to do."""


class _Pump:
    """What the link thread runs."""

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
