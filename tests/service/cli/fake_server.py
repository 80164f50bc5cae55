"""A server whose every answer a test writes down: what the command line talks to here.

It can hold an answer back at a gate until the test opens it, and it notices when its client leaves.
"""

import json
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

GATE_LIMIT_S = 60
"""Only ends a test that would otherwise hang."""


@dataclass
class Reply:
    """One answer: pieces are sent in order; at an event the answer waits until it is set."""

    pieces: Sequence[bytes | threading.Event]
    status: int = 200


@dataclass
class FakeServer:
    """Replies by method and path; the last reply of a list is used again."""

    name: str = "roundhouse/0.1.0"
    replies: dict[str, list[Reply]] = field(default_factory=dict)
    asked: list[tuple[str, Any]] = field(default_factory=list)
    left: threading.Event = field(default_factory=threading.Event)
    port: int = 0

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def reply(self, route: str, *pieces: Any, status: int = 200) -> None:
        """Add one reply; what is neither bytes nor a gate becomes one line of JSON."""
        made = [piece if isinstance(piece, bytes | threading.Event) else line(piece) for piece in pieces]
        self.replies.setdefault(route, []).append(Reply(made, status))

    def bodies(self, route: str) -> list[Any]:
        """What was sent to one route."""
        return [body for asked, body in self.asked if asked == route]

    def next_reply(self, route: str) -> Reply:
        known = self.replies.get(route) or [Reply([line({"error": f"no reply for {route}"})], 404)]
        number = len(self.bodies(route)) - 1
        return known[min(number, len(known) - 1)]


def line(value: Any) -> bytes:
    return json.dumps(value, ensure_ascii=False).encode() + b"\n"


def said(text: str) -> dict[str, Any]:
    """One piece of a chat answer."""
    return {"model": "m", "message": {"role": "assistant", "content": text}, "done": False}


def finished(**figures: int) -> dict[str, Any]:
    """The last piece of a chat answer."""
    return {
        "model": "m",
        "message": {"role": "assistant", "content": ""},
        "done": True,
        "done_reason": "stop",
    } | figures


@contextmanager
def serving(name: str = "roundhouse/0.1.0") -> Iterator[FakeServer]:
    """A fake server with a Roundhouse's answers to the questions every command asks first."""
    fake = FakeServer(name)
    fake.reply("GET /api/version", {"version": "0.12.6"})
    fake.reply("GET /api/tags", {"models": []})
    with ThreadingHTTPServer(("127.0.0.1", 0), _handler(fake)) as server:
        server.daemon_threads = False
        fake.port = server.server_port
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        try:
            yield fake
        finally:
            server.shutdown()
            thread.join()


def _handler(fake: FakeServer) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self._answer(None)

        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
            self._answer(json.loads(body))

        def _answer(self, body: Any) -> None:
            route = f"{self.command} {self.path}"
            fake.asked.append((route, body))
            reply = fake.next_reply(route)
            self.send_response(reply.status)
            self.end_headers()
            try:
                self._send(reply)
            except OSError:
                fake.left.set()

        def _send(self, reply: Reply) -> None:
            for piece in reply.pieces:
                if isinstance(piece, threading.Event):
                    self._wait(piece)
                else:
                    self.wfile.write(piece)
                    self.wfile.flush()

        def _wait(self, gate: threading.Event) -> None:
            if not gate.wait(GATE_LIMIT_S):
                raise TimeoutError

        def version_string(self) -> str:
            return fake.name

        def log_message(self, *_: Any) -> None:
            pass

    return Handler
