"""``roundhouse``: the one command, with a command below it for each thing to do.

Each command's module is imported when it is used, because `--version` should not pay for a web framework.
"""

import importlib
import sys
from typing import Any

import click

from service.cli.descriptors import open_standard_streams
from service.cli.exits import FAILED, Interrupted
from service.version import own_version

_COMMANDS = {
    "serve": "service.cli.serve:serve",
    "run": "service.cli.run:run",
    "list": "service.cli.listing:list_models",
    "ps": "service.cli.listing:ps",
    "stop": "service.cli.stop:stop",
    "config": "service.cli.config:config",
    "paths": "service.cli.paths:paths",
}
_ALIASES = {"start": "serve", "ls": "list"}
_NO_WINDOWS = (
    "Roundhouse runs on Linux and macOS, not on Windows: it passes sockets to its runner processes in a way that "
    "Windows does not have. Under WSL it runs as on Linux."
)


class Commands(click.Group):
    """The commands, imported when they are named."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Their names in the order a newcomer needs them."""
        return list(_COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """The command of that name, or None."""
        path = _COMMANDS.get(_ALIASES.get(cmd_name, cmd_name))
        if path is None:
            return None
        module, _, name = path.partition(":")
        command: click.Command = getattr(importlib.import_module(module), name)
        return command

    def invoke(self, ctx: click.Context) -> Any:
        """Run one command; Ctrl-C outside of what handles it itself is an exit status, not a traceback."""
        try:
            return super().invoke(ctx)
        except KeyboardInterrupt as error:
            raise Interrupted from error

    def main(self, *args: Any, **extra: Any) -> Any:
        """Refuse a system that is not served before anything else is tried."""
        if sys.platform == "win32":
            sys.stderr.write(f"{_NO_WINDOWS}\n")
            sys.exit(FAILED)
        open_standard_streams()
        return super().main(*args, **extra)


def _print_version(ctx: click.Context, _: click.Parameter, is_wanted: bool) -> None:
    if is_wanted:
        click.echo(f"roundhouse {own_version()}")
        ctx.exit()


@click.command(cls=Commands, context_settings={"help_option_names": ["-h", "--help"]})
@click.option(
    "-v",
    "--version",
    is_flag=True,
    expose_value=False,
    is_eager=True,
    callback=_print_version,
    help="Show the version.",
)
def main() -> None:
    """Serve local language models over the HTTP APIs that your tools already speak."""
