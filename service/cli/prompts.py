"""The prompt of ``run``: from the arguments, from standard input, from both, or from a conversation."""

from collections.abc import Sequence

import click
import trio

from service.cli.descriptors import STDIN, is_terminal
from service.cli.exits import WrongSetting
from service.cli.terminal import notice_after, read_all

_MOST_BYTES = 64 << 20
"""As much as the service takes in one request by default."""
_NOTICE_S = 2.0
_NOTICE = "reading the rest of the prompt from standard input until it ends (</dev/null when there is none)"


async def find_prompt(words: Sequence[str]) -> str | None:
    """The prompt, or None for a conversation.

    1. A person at the terminal: the arguments, or without any a conversation.
    2. Standard input that holds something: it follows the arguments.
    3. Only arguments; an empty one loads the model and asks nothing.
    4. Nothing at all is a mistake.

    Raises:
        WrongSetting: there is no prompt, or it is no text.
    """
    argument = _checked(" ".join(words))
    if is_terminal(STDIN):  # (1)
        return argument if words else None
    piped = await _read_standard_input(is_extra=bool(words))
    if piped.strip():  # (2)
        return f"{argument}\n\n{piped}" if argument else piped
    if words:  # (3)
        return argument
    raise WrongSetting("there is no prompt: name one after the model, or send one to standard input")  # (4)


async def _read_standard_input(*, is_extra: bool) -> str:
    done = trio.Event()
    async with trio.open_nursery() as nursery:
        if is_extra:
            nursery.start_soon(notice_after, _NOTICE_S, done, lambda: click.echo(_NOTICE, err=True))
        data = await read_all(STDIN, most_bytes=_MOST_BYTES)
        done.set()
    if len(data) > _MOST_BYTES:
        raise WrongSetting(f"standard input holds more than {_MOST_BYTES >> 20} MiB, more than one request may")
    try:
        return data.decode()
    except UnicodeDecodeError:
        raise WrongSetting("standard input is not UTF-8 text") from None


def _checked(text: str) -> str:
    try:
        text.encode()
    except UnicodeEncodeError:
        raise WrongSetting("the prompt is not UTF-8 text") from None
    return text
