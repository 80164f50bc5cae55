"""Bad input against a whole service: one service for each group of bodies, one for each kind of files.

What is sent and what must come back is in `tests.bad_input`. After each row the service answers, at the end of each
group with the engine; nothing of this machine is in any answer, and nothing that was sent is an error in the log.
"""

from pathlib import Path

import pytest

from service.config import Settings
from service.processes import RunnerProcesses
from tests.bad_input import targets
from tests.bad_input.files import KINDS, BadFile
from tests.bad_input.rows import GOOD, Row
from tests.bad_input.table import GROUPS
from tests.factory.random_model import random_model
from tests.factory.scripted import scripted_model
from tests.fakes import unprivileged
from tests.integration.faults.harness import POLITE, Faulted, faulted, limits
from tests.service.http.serving import exchange

pytestmark = pytest.mark.engine

BODY_BYTES_MAX, SHOWN_BODY_MAX = 8 << 20, "8.0 MiB"


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    """A service with a model that answers, and the packaged one for the table."""
    models = tmp_path / "models"
    models.mkdir()
    scripted_model(models / "polite.gguf", POLITE)
    return Settings(
        models=models,
        state=tmp_path / "state",
        port=0,
        strict=True,
        demo=True,
        body_bytes_max=BODY_BYTES_MAX,
        limits=limits(),
    )


@pytest.mark.parametrize("group", GROUPS)
async def test_the_whole_table_is_answered_as_by_the_application_alone(settings: Settings, group: str) -> None:
    async with faulted(settings) as service:
        assert {path: await _status(service, path) for path in GOOD} == dict.fromkeys(GOOD, 200)
        wrong = {}
        for row in GROUPS[group]():
            if (found := await _answer(service, row)) != (row.status, row.answer):
                wrong[row.path, row.about] = found
        assert wrong == {}
        await _answers(service)
        assert _errors(service) == []


async def _status(service: Faulted, path: str) -> int:
    return (await service.http.post(path, json=GOOD[path])).status_code


async def _answer(service: Faulted, row: Row) -> tuple[int, object]:
    reply = await service.http.post(row.path, content=row.body)
    await _lives(service)
    return reply.status_code, reply.json()


async def test_bad_targets_methods_and_sizes_are_answered_as_by_the_application_alone(settings: Settings) -> None:
    async with faulted(settings) as service:
        address = f"{service.ready.host}:{service.ready.port}"
        wrong = {}
        for row in [*targets.rows(), *targets.oversized(BODY_BYTES_MAX, SHOWN_BODY_MAX)]:
            head, _, body = (await exchange(address, row.request)).partition(b"\r\n\r\n")
            if (found := (int(head.split()[1]), body.decode())) != (row.status, row.answer):
                wrong[row.about] = found
            await _lives(service)
        assert wrong == {}
        await _answers(service)
        assert _errors(service) == []


@pytest.fixture(params=KINDS)
def files(settings: Settings, tmp_path: Path, request: pytest.FixtureRequest) -> list[BadFile]:
    """All bad files of one kind, in the models folder."""
    files = KINDS[request.param](random_model(tmp_path / "good.gguf"))
    for file in files:
        file.make(settings.models / f"{file.name}.gguf")
    return files


async def test_files_that_are_no_models_are_refused_with_a_sentence_each(
    settings: Settings, files: list[BadFile]
) -> None:
    processes = RunnerProcesses(unprivileged.COMMAND)
    async with faulted(settings, processes) as service:
        wrong = {}
        for file in files:
            replies = [await service.generate(file.name)]
            if file.shows:
                replies.append(await service.http.post("/api/show", json={"model": file.name}))
            for reply in replies:
                assert not _reveals(reply.text, settings), reply.text
                if (reply.status_code, reply.json()) != (file.status, {"error": file.message}):
                    wrong[file.about] = (reply.status_code, reply.text)
            await _lives(service)
        assert wrong == {}
        await _answers(service)
        crashes = [row["model"] for row in _errors(service)]
        assert crashes == ["crash:latest"] * len(crashes)


async def test_lists_show_every_file_that_could_be_a_model_and_hide_none(
    settings: Settings, files: list[BadFile]
) -> None:
    async with faulted(settings) as service:
        tags = await service.http.get("/api/tags")
        listed = {model["name"]: model for model in tags.json()["models"]}
        expected = {f"{file.name}:latest" for file in files if file.status != 404}
        assert listed.keys() == expected | {"polite:latest", "demo:latest"}
        refused = [file for file in files if file.shows and file.about != "locked"]
        assert {listed[f"{file.name}:latest"]["details"]["family"] for file in refused} <= {""}
        assert listed["polite:latest"]["details"]["family"] == "llama"
        assert not _reveals(tags.text, settings)
        assert (await service.http.get("/v1/models")).json()["data"][0]["id"] in listed


async def _lives(service: Faulted) -> None:
    """It answers; not with the engine, which would take long for each row."""
    assert (await service.http.get("/api/version")).status_code == 200


async def _answers(service: Faulted) -> None:
    """It answers with the engine."""
    assert (await service.generate("polite")).json()["response"] == POLITE


def _errors(service: Faulted) -> list[dict[str, object]]:
    return [row for row in service.lines.rows() if row["level"] in ("error", "critical")]


def _reveals(text: str, settings: Settings) -> list[str]:
    """What of this machine is in a text."""
    words = [str(settings.models), str(settings.state), "/proc", "/etc", ".gguf", "Errno", "Traceback", 'File "']
    return [word for word in words if word in text]


def test_the_check_for_revelations_can_fail(settings: Settings) -> None:
    assert _reveals(f"cannot open {settings.models}/x.gguf: [Errno 2]", settings) == [
        str(settings.models),
        ".gguf",
        "Errno",
    ]
