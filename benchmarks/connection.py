"""A client that notes when the first token of an answer arrives, and does nothing else that takes time."""

import socket
import time
from typing import Self
from urllib.parse import urlsplit

HUNG_S = 120
"""Nothing that is measured takes that long."""
_END_OF_CHUNKS = b"0\r\n\r\n"
_RECEIVE_BYTES = 1 << 16


class Connection:
    """One connection that is kept open between requests, as HTTP libraries keep it."""

    def __init__(self, address: str) -> None:
        place = urlsplit(address)
        self._host = f"{place.hostname}:{place.port}"
        self._socket = socket.create_connection((place.hostname or "", place.port or 0), timeout=HUNG_S)
        self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._socket.close()

    def stream(self, path: str, body: bytes, *, first: bytes) -> tuple[float, bytes]:
        """Post ``body`` and read the answer to its end.

        Args:
            first: what the answer's first token is recognised by.

        Returns:
            From the first byte sent to the moment when that was there [ms]; and the whole answer as it came.
        """
        request = f"POST {path} HTTP/1.1\r\nHost: {self._host}\r\nContent-Length: {len(body)}\r\n\r\n".encode() + body
        begun = time.perf_counter()
        self._socket.sendall(request)
        answer, first_ms = b"", 0.0
        while not answer.endswith(_END_OF_CHUNKS):
            answer += self._receive(answer)
            if not first_ms and first in answer:
                first_ms = (time.perf_counter() - begun) * 1000
        return first_ms, answer

    def _receive(self, answer: bytes) -> bytes:
        data = self._socket.recv(_RECEIVE_BYTES)
        if not data or (answer and not answer.startswith(b"HTTP/1.1 200 ")):
            raise RuntimeError(f"no answer: {(answer + data).decode('utf-8', 'replace')}")
        return data
