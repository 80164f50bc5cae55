"""``roundhouse stop``: unload a model when it is idle."""

import click
import trio

from service.cli.client import ServerRefused, connect
from service.cli.exits import CommandFailed, leaf_errors
from service.cli.flags import setting_flags
from service.cli.places import place_of


@click.command(help="Unload MODEL as soon as nobody uses it.")
@click.argument("model")
@setting_flags("host")
def stop(model: str, host: str | None) -> None:
    with leaf_errors():
        trio.run(_stop, place_of(host).url, model)


async def _stop(url: str, model: str) -> None:
    async with connect(url) as client:
        try:
            await client.unload(model)
        except ServerRefused as error:
            if error.status != 404:
                raise
            raise CommandFailed(f'couldn\'t find model "{model}" to stop') from error
