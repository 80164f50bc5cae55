"""Files that vanish or change under the service, forced at each moment between a look at the folder and an answer.

Each moment has one service, and a model of its own for each change; the service is sound at the end (the harness).
"""

import os
import shutil
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from service.config import Settings
from service.ports import Process
from service.processes import RunnerProcesses
from statemachines.effects import AnyEffect, SpawnRunner
from statemachines.events import AnyEvent
from statemachines.wire.link import Task
from tests.bad_input.files import HEADER_CUT, NO_GGUF, unusable
from tests.factory.scripted import scripted_model
from tests.fakes import unprivileged
from tests.integration.faults.harness import ENDLESS, POLITE, Faulted, faulted, limits
from tests.integration.faults.models import ENDLESS_ANSWER

pytestmark = pytest.mark.engine

BEFORE, AFTER = "Before.", "After."
CUT_BYTES = 5_000
"""Within the header."""
NOT_REGULAR = "the model file cannot be read: it is not a regular file"
BROKEN_OFF = "the model's runner ended unexpectedly while it answered; the server's log says how it ended"

Change = Callable[[Path, Path], object]
"""Does something to a model's file; the second path is that of another model outside the folder."""


def replace(path: Path, other: Path) -> None:
    """At one stroke, as careful people do."""
    os.replace(shutil.copy(other, f"{path}.copying"), path)


def spoil(path: Path, _: Path) -> None:
    fresh = Path(f"{path}.copying")
    fresh.write_bytes(b"not a model")
    fresh.rename(path)


def become_pipe(path: Path, _: Path) -> None:
    path.unlink()
    os.mkfifo(path)


def become_folder(path: Path, _: Path) -> None:
    path.unlink()
    path.mkdir()


def become_loop(path: Path, _: Path) -> None:
    path.unlink()
    path.symlink_to(path)


CHANGES: dict[str, Change] = {
    "vanish": lambda path, _: path.unlink(),
    "replace": replace,
    "spoil": spoil,
    "cut": lambda path, _: os.truncate(path, CUT_BYTES),
    "empty": lambda path, _: os.truncate(path, 0),
    "overwrite": lambda path, other: path.write_bytes(other.read_bytes()),
    "pipe": become_pipe,
    "folder": become_folder,
    "loop": become_loop,
    "lock": lambda path, _: path.chmod(0),
}

GONE = (404, "model '{name}:latest' not found; copy its file into the models folder")
LOCKED = (500, "the model file cannot be read: the service has no permission to read it")
STILL_A_FILE: dict[str, tuple[int, str]] = {
    "replace": (200, AFTER),
    "spoil": (400, unusable(NO_GGUF)),
    "cut": (400, unusable(HEADER_CUT)),
    "empty": (400, unusable(HEADER_CUT)),
    "overwrite": (200, AFTER),
    "lock": LOCKED,
}
"""What is answered wherever the file is looked at again: from the file that is there now, or why not."""


@pytest.fixture
def other(tmp_path: Path) -> Path:
    return scripted_model(tmp_path / "other.gguf", AFTER)


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    models = tmp_path / "models"
    models.mkdir()
    scripted_model(models / "polite.gguf", POLITE)
    for name in CHANGES:
        scripted_model(models / f"{name}.gguf", BEFORE)
    return Settings(models=models, state=tmp_path / "state", port=0, strict=True, limits=limits())


async def answer(service: Faulted, name: str) -> tuple[int, str]:
    """What a request for a model is told; its runner leaves at once, so that many fit side by side."""
    reply = await service.generate(name, keep_alive=0)
    body: dict[str, Any] = reply.json()
    return reply.status_code, body.get("error") or body["response"]


def named(expected: tuple[int, str], name: str) -> tuple[int, str]:
    return expected[0], expected[1].format(name=name)


class Meddling(RunnerProcesses):
    """Ordinary users' runners; something may happen right before a reader of facts starts.

    Attributes:
        before_facts: what, once.
    """

    before_facts: Callable[[], object] | None = None

    def __init__(self) -> None:
        super().__init__(unprivileged.COMMAND)

    @asynccontextmanager
    async def spawn(self, kind: Any, **options: Any) -> AsyncIterator[Process]:
        if kind.task is Task.FACTS and self.before_facts is not None:
            meddle, self.before_facts = self.before_facts, None
            meddle()
        async with super().spawn(kind, **options) as process:
            yield process


async def test_between_the_look_at_the_folder_and_the_reading_of_the_header(settings: Settings, other: Path) -> None:
    expected = STILL_A_FILE | {
        "vanish": (404, "the model file cannot be read: it is not there any more"),
        "pipe": (500, NOT_REGULAR),
        "folder": (500, NOT_REGULAR),
        "loop": (500, "the model file cannot be read: it cannot be opened"),
    }
    processes, found = Meddling(), {}
    async with faulted(settings, processes) as service:
        for name, change in CHANGES.items():
            path = settings.models / f"{name}.gguf"
            processes.before_facts = lambda path=path, change=change: change(path, other)
            found[name] = await answer(service, name)
            assert processes.before_facts is None
    assert found == expected


async def test_between_the_plan_of_a_load_and_its_start(settings: Settings, other: Path) -> None:
    expected = STILL_A_FILE | {name: named(GONE, name) for name in CHANGES.keys() - STILL_A_FILE}
    expected["lock"] = (500, "the model could not be loaded: the service has no permission to read the model file")
    found = {}
    async with faulted(settings, Meddling()) as service:
        meddle_at_spawn(service, settings.models, other)
        for name in CHANGES:
            found[name] = await answer(service, name)
    assert found == expected


def meddle_at_spawn(service: Faulted, models: Path, other: Path) -> None:
    """Change each model's file when the core has ordered its first runner, before that order is carried out."""
    write, left = service.journal.write, dict(CHANGES)

    def write_and_meddle(event: AnyEvent, effects: tuple[AnyEffect, ...]) -> None:
        write(event, effects)
        for effect in effects:
            if isinstance(effect, SpawnRunner) and (name := effect.model.removesuffix(":latest")) in left:
                left.pop(name)(models / f"{name}.gguf", other)

    service.journal.write = write_and_meddle  # type: ignore[method-assign]  # this journal only


async def test_in_the_middle_of_a_load(settings: Settings, other: Path) -> None:
    expected = STILL_A_FILE | {name: named(GONE, name) for name in CHANGES.keys() - STILL_A_FILE}
    expected["lock"] = (200, BEFORE)  # it has the file open
    found = {}
    async with faulted(settings, Meddling()) as service:
        for name, change in CHANGES.items():
            gate = service.gates.hold(name)
            asked = service.ask(name, keep_alive=0)
            await gate.arrived()
            change(settings.models / f"{name}.gguf", other)
            gate.open()
            last = await asked.end()
            found[name] = (asked.status, asked.text or last["error"])
    assert found == expected


async def test_between_two_requests_for_a_loaded_model(settings: Settings, other: Path) -> None:
    expected = STILL_A_FILE | {name: (404, f"model '{name}' not found") for name in CHANGES.keys() - STILL_A_FILE}
    found = {}
    async with faulted(settings, Meddling()) as service:
        for name, change in CHANGES.items():
            assert (await service.generate(name)).json()["response"] == BEFORE
            change(settings.models / f"{name}.gguf", other)
            found[name] = await answer(service, name)
    assert found == expected


CUT_SHORT = ("cut", "empty")
"""Changes that take away pages of the very file that is in use."""
IN_PLACE = ("overwrite",)
"""One that takes them away and puts others there: whether a runner looks in between is chance."""


async def test_in_the_middle_of_an_answer(settings: Settings, other: Path) -> None:
    """Whoever has a file open keeps it, whatever its name means by then; pages that were cut off end the runner."""
    async with faulted(settings, Meddling()) as service:
        for name in CHANGES.keys() - set(IN_PLACE):
            path = scripted_model(settings.models / f"{name}.gguf", ENDLESS_ANSWER, context_tokens=ENDLESS["num_ctx"])
            asked = service.ask(name, options=ENDLESS, keep_alive=0)
            await asked.piece()
            CHANGES[name](path, other)
            if name in CUT_SHORT:
                assert await asked.end() == {"error": BROKEN_OFF}
            else:
                await asked.piece(len(asked.lines) + 100)
                await asked.leave()


async def test_a_models_folder_that_goes_away_takes_its_models_and_brings_them_back(settings: Settings) -> None:
    away = settings.models.with_name("away")
    async with faulted(settings) as service:
        assert (await service.generate("polite")).json()["response"] == POLITE
        settings.models.rename(away)
        assert (await service.http.get("/api/tags")).json() == {"models": []}
        assert await answer(service, "polite") == (404, "model 'polite' not found")
        away.rename(settings.models)
        assert await answer(service, "polite") == (200, POLITE)
