"""Tells whoever started the service that it is ready, where that one asks to be told: systemd with ``Type=notify``.

The protocol is one datagram to the socket that NOTIFY_SOCKET names (sd_notify(3)).
"""

import socket
from collections.abc import Mapping
from contextlib import suppress
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from service.ready import Ready

SOCKET = "NOTIFY_SOCKET"


def say_ready(ready: "Ready", environ: Mapping[str, str]) -> None:
    """Say so, once and without waiting; nobody may be there to hear it."""
    address = environ.get(SOCKET, "")
    if address[:1] not in ("/", "@"):
        return
    words = f"READY=1\nSTATUS=answers on {ready.address}, {ready.models} models\n"
    with suppress(OSError), socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sock:
        sock.setblocking(False)
        sock.sendto(words.encode(), f"\0{address[1:]}" if address.startswith("@") else address)
