"""The head of an answer waits for its first piece: until then another answer can still take its place.

What comes behind the handler (headers, log line, figures, the framework's own work) is done while the model reads the
prompt, not between the first token and the client.
"""

from collections.abc import Callable
from typing import Any

from hypercorn.typing import ASGISendCallable


class LateStart:
    """Sends one answer; in the place of the server's own way of sending.

    Args:
        on_begun: told the status once the head and the first piece have gone.

    Attributes:
        has_begun: it cannot be another answer any more.
        is_answered: its last piece is on its way.
    """

    def __init__(self, send: ASGISendCallable, on_begun: Callable[[int], None]) -> None:
        self.has_begun = False
        self.is_answered = False
        self._send = send
        self._on_begun = on_begun
        self._start: Any = None

    async def __call__(self, message: Any) -> None:
        """Take one message of the application's."""
        if message["type"] == "http.response.start":
            self._start = message
            return
        start, self._start = self._start, None
        if start is not None:
            self.has_begun = True
            await self._send(start)
        self.is_answered = not message.get("more_body", False)
        await self._send(message)
        if start is not None:
            self._on_begun(start["status"])
