"""One question to the server, one answer on standard output."""

from typing import Any

import click
import msgspec
import trio

from service.cli.client import Client, Piece, Turn
from service.cli.exits import CommandFailed, leaf_errors
from service.cli.terminal import Output, StatusLine
from service.cli.waiting import report_waiting
from service.durations import show_duration

_LABEL_WIDTH = 22


class Question(msgspec.Struct, frozen=True):
    """What is asked for, the same for every turn.

    Attributes:
        model: as the user wrote it.
        keep_alive: for the server, or None to leave it as it is.
        is_verbose: print figures after an answer.
    """

    model: str
    keep_alive: str | int | None = None
    is_verbose: bool = False

    def body(self, turns: list[Turn]) -> dict[str, Any]:
        """The request; without turns it only loads the model."""
        body: dict[str, Any] = {"model": self.model, "messages": turns}
        return body if self.keep_alive is None else body | {"keep_alive": self.keep_alive}


class Answer:
    """One answer while it comes: `text` is what was said so far, also when it is stopped."""

    def __init__(self, client: Client, question: Question, output: Output, status: StatusLine) -> None:
        self._client = client
        self._question = question
        self._output = output
        self._status = status
        self.text = ""

    async def tell(self, turns: list[Turn]) -> None:
        """Ask, and write the answer as it comes.

        Raises:
            click.ClickException: the server refused or broke off.
            BrokenPipeError: nobody reads the answer any more.
        """
        heard = trio.Event()
        with leaf_errors():
            async with trio.open_nursery() as nursery:
                if self._status.is_shown:
                    nursery.start_soon(report_waiting, self._client, self._question.model, self._status, heard)
                try:
                    await self._stream(turns, heard)
                finally:
                    self._hear(heard)
                nursery.cancel_scope.cancel()

    async def _stream(self, turns: list[Turn], heard: trio.Event) -> None:
        last = Piece()
        async with self._client.chat(self._question.body(turns)) as pieces:
            async for last in pieces:
                self._hear(heard)
                await self._say(last.message.content)
        await self._finish(last)

    async def _say(self, text: str) -> None:
        if text:
            self.text += text
            await self._output.write(text)

    async def _finish(self, last: Piece) -> None:
        if self.text and not self.text.endswith("\n"):
            await self._output.write("\n")
        if not last.done:
            raise CommandFailed("the answer ended before it was complete; the server's log may say why")
        if self._question.is_verbose:
            click.echo(figures(last), err=True, nl=False)

    def _hear(self, heard: trio.Event) -> None:
        heard.set()
        self._status.clear()


def figures(last: Piece) -> str:
    """The figures of an answer, one line each, in Ollama's words."""
    rows = [
        ("total duration:", show_duration(last.total_duration)),
        ("load duration:", show_duration(last.load_duration)),
        *_phase("prompt eval", last.prompt_eval_count, last.prompt_eval_duration),
        *_phase("eval", last.eval_count, last.eval_duration),
    ]
    return "".join(f"{label:<{_LABEL_WIDTH}}{value}\n" for label, value in rows)


def _phase(name: str, count_tokens: int, duration_ns: int) -> list[tuple[str, str]]:
    rate = count_tokens / duration_ns * 1e9 if duration_ns else 0.0
    return [
        (f"{name} count:", f"{count_tokens} token(s)"),
        (f"{name} duration:", show_duration(duration_ns)),
        (f"{name} rate:", f"{rate:.2f} tokens/s"),
    ]
