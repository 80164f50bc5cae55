"""How a command ends when it does not end well: a sentence on standard error and a status.

0 answered, 1 failed, 2 usage (a setting counts as usage, wherever it was written), 3 no server, 130 interrupted.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import IO, Any

import click

FAILED = 1
USAGE = 2
NO_SERVER = 3
INTERRUPTED = 130


class CommandFailed(click.ClickException):
    """What was asked for did not happen."""

    exit_code = FAILED


class WrongSetting(CommandFailed):
    """A setting or an argument cannot be used."""

    exit_code = USAGE


class NoServer(CommandFailed):
    """There is no Roundhouse where one was looked for."""

    exit_code = NO_SERVER


class Interrupted(CommandFailed):
    """The user said stop, and knows it: nothing is printed."""

    exit_code = INTERRUPTED

    def __init__(self) -> None:
        super().__init__("interrupted")

    def show(self, file: IO[Any] | None = None) -> None:
        del file


@contextmanager
def leaf_errors() -> Iterator[None]:
    """Raise the one error inside an exception group instead of the group.

    Why: trio's nurseries wrap whatever leaves them, also when only one thing went wrong; the command line reports
    one thing. Of several, the first that is ours is reported, since the others follow from it.
    """
    try:
        yield
    except BaseExceptionGroup as group:
        leaves = list(_leaves(group))
        raise next((leaf for leaf in leaves if isinstance(leaf, click.ClickException)), leaves[0]) from group


def _leaves(error: BaseException) -> Iterator[BaseException]:
    if not isinstance(error, BaseExceptionGroup):
        yield error
        return
    for inner in error.exceptions:
        yield from _leaves(inner)
