"""The runner's link: the engine thread's side of it, and how the two threads and the socket hang together.

Theory of operation. The engine thread (the main thread) may be inside native code for half a second at a time and
never waits for the socket; the link thread (`runner.pump`) does nothing but wait, and is the only one that touches the
socket. Two queues join them: the inbox of messages for the engine and the outbox of messages for the service. A byte
on one wake-up socket tells the link thread that the outbox has something, a byte on another that SIGTERM has come: the
interpreter writes it from within the signal handler, so that it arrives even while the engine is in native code.

How the process ends, always by the link thread:

- The service's end is closed: at once, whatever the engine is doing. The service is gone or has let go of this
  runner; nobody is left who could use what is being computed.
- Shutdown or SIGTERM while no lease can be open (any phase but READY): at once, there is nothing to put in order.
- Shutdown or SIGTERM in READY: the engine gets a Shutdown, ends its leases and returns.
- The task has returned: what is in the outbox is written, then the process ends.
"""

import contextlib
import signal
import socket
import threading
from queue import Empty, SimpleQueue
from typing import NoReturn

from runner.pump import Pump
from statemachines.errors import RemoteWireError
from statemachines.wire.link import Task
from statemachines.wire.messages import ToRunner, ToService

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
        pump = Pump(sock, task, self._inbox, self._outbox, outbox_woken, signal_woken)
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
