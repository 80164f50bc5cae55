"""``roundhouse run``: ask a model once, or talk with it.

A Roundhouse that already runs is asked; without one a server of our own lives as long as this command.
"""

import re
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from functools import partial
from typing import Any, TypeVar

import click
import msgspec
import trio

from service.cli.answers import Answer, Question
from service.cli.chat import Chat
from service.cli.client import SERVER_PREFIX, Client, ServerRefused, Turn, connect, open_http, server_name
from service.cli.exits import CommandFailed
from service.cli.flags import setting_flags
from service.cli.interrupts import Interrupts, interruptible
from service.cli.listening import Place
from service.cli.names import DEMO_WORDS, is_scripted_demo
from service.cli.places import place_of
from service.cli.prompts import find_prompt
from service.cli.terminal import Lines, Output, StatusLine
from service.durations import KEEP_ALIVE_FORMS, parse_keep_alive

_Command = TypeVar("_Command", bound=Callable[..., Any])
_NOT_SERVED = ("--format", "--think", "--hidethinking", "--insecure", "--truncate", "--dimensions")
"""Flags of Ollama's `run` that would change the answer; what is not served is refused by name."""


class Wish(msgspec.Struct, frozen=True):
    """What one `run` is to do."""

    place: Place
    question: Question
    words: Sequence[str]
    system: str | None


def _refused_flags(command: _Command) -> _Command:
    for name in _NOT_SERVED:
        is_bare = name in ("--hidethinking", "--insecure", "--truncate")
        extra: dict[str, Any] = {"is_flag": True} if is_bare else {"is_flag": False, "flag_value": ""}
        option = click.option(name, default=None, hidden=True, expose_value=False, callback=_refuse, **extra)
        command = option(command)
    return command


def _refuse(_: click.Context, option: click.Parameter, value: object) -> None:
    if value is not None:
        raise click.UsageError(f"{option.opts[0]} is not served by this version of Roundhouse")


def _keep_alive(_: click.Context, __: click.Parameter, text: str | None) -> str | int | None:
    if text is None:
        return None
    try:
        parse_keep_alive(text)
    except ValueError:
        raise click.BadParameter(f"{text!r}: it must be {KEEP_ALIVE_FORMS}") from None
    return int(text) if re.fullmatch(r"[+-]?\d+", text) else text


@click.command(help="Ask MODEL the PROMPT, or what standard input holds; without either, talk with it line by line.")
@click.argument("model")
@click.argument("prompt", nargs=-1)
@setting_flags("host")
@click.option(
    "--keepalive", callback=_keep_alive, metavar="DURATION", help=f"Keep the model loaded: {KEEP_ALIVE_FORMS}."
)
@click.option("--system", metavar="TEXT", help="A system message before the conversation.")
@click.option("--verbose", is_flag=True, help="Print figures after each answer.")
@_refused_flags
def run(
    model: str, prompt: Sequence[str], host: str | None, keepalive: str | int | None, system: str | None, verbose: bool
) -> None:
    question = Question(model, keep_alive=keepalive, is_verbose=verbose)
    wish = Wish(place_of(host), question, prompt, system)
    trio.run(interruptible, partial(_run, wish))


async def _run(wish: Wish, interrupts: Interrupts) -> None:
    prompt = await find_prompt(wish.words)
    async with _reach(wish.place) as client:
        with interrupts.ending():
            await _converse(client, wish, prompt, interrupts)


async def _converse(client: Client, wish: Wish, prompt: str | None, interrupts: Interrupts) -> None:
    try:
        await _remark_on_demo(client, wish.question.model)
        await (_ask_once(client, wish, prompt) if prompt is not None else _talk(client, wish, interrupts))
    except ServerRefused as error:
        raise await _explained(client, wish.question.model, error) from error


async def _ask_once(client: Client, wish: Wish, prompt: str) -> None:
    turns = [Turn("system", wish.system)] if wish.system else []
    answer = Answer(client, wish.question, Output(), StatusLine())
    await answer.tell([*turns, Turn("user", prompt)] if prompt else [])


async def _talk(client: Client, wish: Wish, interrupts: Interrupts) -> None:
    await Answer(client, wish.question, Output(), StatusLine()).tell([])  # loads the model
    chat = Chat(client, wish.question, system=wish.system, lines=Lines(), output=Output(), leave=interrupts.end)
    with interrupts.told_to(chat.interrupted):
        await chat.talk()


@asynccontextmanager
async def _reach(place: Place) -> AsyncIterator[Client]:
    """A server to ask.

    1. The Roundhouse at ``place``.
    2. A place that the user chose is not replaced by another.
    3. Otherwise, a server of our own.
    """
    async with open_http(place.url) as http:
        is_running = (await server_name(http)).startswith(SERVER_PREFIX)
    if is_running or place.is_chosen:  # (1) (2)
        async with connect(place.url) as client:
            yield client
        return
    from service.cli.embedded import embedded_server

    async with embedded_server() as (url, models), connect(url) as client:  # (3)
        client.models_folder = models
        yield client


async def _remark_on_demo(client: Client, model: str) -> None:
    if is_scripted_demo(model, await client.models()):
        click.echo(DEMO_WORDS, err=True)


async def _explained(client: Client, model: str, error: ServerRefused) -> CommandFailed:
    """The server's refusal; of a model that is not there, with those that are and what to do."""
    if error.status != 404:
        return error
    names = ", ".join(item.name for item in await client.models()) or "none yet"
    where = f" on the server at {client.url}" if client.models_folder is None else ""
    folder = client.models_folder or "that server's models folder"
    return CommandFailed(f"there is no model {model!r}{where}; there is: {names}. Put its .gguf file into {folder}")
