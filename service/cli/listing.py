"""``roundhouse list`` and ``roundhouse ps``: what there is, and what is loaded."""

from datetime import UTC, datetime

import click
import trio

from service.cli import tables
from service.cli.client import ListedModel, LoadedModel, connect
from service.cli.exits import leaf_errors
from service.cli.flags import setting_flags
from service.cli.places import place_of


@click.command("list", help="List the models on disk, or those whose name begins with PREFIX.")
@click.argument("prefix", default="")
@setting_flags("host")
def list_models(prefix: str, host: str | None) -> None:
    with leaf_errors():
        models = trio.run(_fetch_models, place_of(host).url)
    chosen = [model for model in models if model.name.casefold().startswith(prefix.casefold())]
    click.echo(models_table(chosen, datetime.now(UTC)), nl=False)


@click.command(help="List the models in memory, or those whose name begins with PREFIX.")
@click.argument("prefix", default="")
@setting_flags("host")
def ps(prefix: str, host: str | None) -> None:
    with leaf_errors():
        models = trio.run(_fetch_loaded, place_of(host).url)
    chosen = [model for model in models if model.name.startswith(prefix)]
    click.echo(loaded_table(chosen, datetime.now(UTC)), nl=False)


def models_table(models: list[ListedModel], now: datetime) -> str:
    """The table of ``list``."""
    rows = [
        (
            model.name,
            tables.short_id(model.digest),
            tables.decimal_bytes(model.size),
            tables.ago(model.modified_at, now),
        )
        for model in models
    ]
    return tables.table(("NAME", "ID", "SIZE", "MODIFIED"), rows)


def loaded_table(models: list[LoadedModel], now: datetime) -> str:
    """The table of ``ps``."""
    rows = [
        (
            model.name,
            tables.short_id(model.digest),
            tables.decimal_bytes(model.size),
            tables.processor(model.size, model.size_vram),
            str(model.context_length),
            tables.until(model.expires_at, now),
        )
        for model in models
    ]
    return tables.table(("NAME", "ID", "SIZE", "PROCESSOR", "CONTEXT", "UNTIL"), rows)


async def _fetch_models(url: str) -> list[ListedModel]:
    async with connect(url) as client:
        return await client.models()


async def _fetch_loaded(url: str) -> list[LoadedModel]:
    async with connect(url) as client:
        return await client.loaded()
