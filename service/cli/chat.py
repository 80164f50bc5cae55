"""A conversation, line by line.

Ctrl-C has two meanings and one owner, `Chat.interrupted`: while the model speaks it ends the answer; at the prompt
the first one asks, the second one leaves. Markers and remarks go to standard error, so that standard output has what
the model said and nothing else.
"""

from collections.abc import Callable

import click
import trio

from service.cli.answers import Answer, Question
from service.cli.client import Client, ServerRefused, Turn
from service.cli.terminal import Lines, Output, StatusLine, printable

_MARKER = ">>> "
_LEAVE_HINT = "\nCtrl-C again, Ctrl-D or /bye leaves."
_HELP = "/clear forgets what was said, /bye leaves, Ctrl-C stops an answer. Everything else goes to the model."


class Chat:
    """One conversation with one model.

    Args:
        leave: called when the user wants to leave at once.
    """

    def __init__(
        self,
        client: Client,
        question: Question,
        *,
        system: str | None,
        lines: Lines,
        output: Output,
        leave: Callable[[], None],
    ) -> None:
        self._client = client
        self._question = question
        self._opening = [Turn("system", system)] if system else []
        self._turns = list(self._opening)
        self._lines = lines
        self._output = output
        self._leave = leave
        self._answering: trio.CancelScope | None = None
        self._has_asked_to_leave = False

    async def talk(self) -> None:
        """Talk until the user leaves.

        Raises:
            click.ClickException: the server is gone.
        """
        _mark()
        while (line := await self._lines.next()) is not None:
            self._has_asked_to_leave = False
            if line.strip() == "/bye":
                return
            await self._obey(line.strip())
            _mark()
        _remark("")

    def interrupted(self) -> None:
        """The user pressed Ctrl-C.

        1. While the model speaks: stop the answer.
        2. At the prompt, for the second time in a row: leave.
        3. At the prompt: forget the line, say how to leave.
        """
        if self._answering is not None:  # (1)
            self._answering.cancel()
            return
        if self._has_asked_to_leave:  # (2)
            self._leave()
            return
        self._has_asked_to_leave = True  # (3)
        self._lines.forget()
        _remark(_LEAVE_HINT)
        _mark()

    async def _obey(self, line: str) -> None:
        if line == "/clear":
            self._turns = list(self._opening)
        elif line in ("/?", "/help"):
            _remark(_HELP)
        elif line.startswith("/"):
            _remark(f"there is no command {printable(line.split()[0])}; /? lists what there is")
        elif line:
            await self._ask(line)

    async def _ask(self, line: str) -> None:
        """One turn; what was not answered at all is forgotten, so that the next turn does not follow on nothing."""
        answer = Answer(self._client, self._question, self._output, StatusLine())
        asked = [*self._turns, Turn("user", line)]
        try:
            with trio.CancelScope() as self._answering:
                await answer.tell(asked)
        except ServerRefused as error:
            _remark(f"Error: {printable(error.message)}")
        finally:
            is_stopped = self._answering is not None and self._answering.cancelled_caught
            self._answering = None
        if is_stopped:
            _remark("\n(stopped)")
        if answer.text:
            self._turns = [*asked, Turn("assistant", answer.text)]


def _mark() -> None:
    click.echo(_MARKER, err=True, nl=False)


def _remark(text: str) -> None:
    click.echo(text, err=True)
