"""A live runner with a loaded model, as the kernel shows it: what it was given, what it holds, what it may do."""

import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from service.config import Settings
from service.environment import ALLOWED, FIXED
from service.processes import RunnerProcesses
from statemachines.states import RunnerState
from tests.factory.scripted import scripted_model
from tests.integration.faults.harness import POLITE, faulted, limits
from tests.security.looking import SECRETS, Looked

pytestmark = [pytest.mark.engine, pytest.mark.skipif(sys.platform != "linux", reason="looks at /proc")]


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    models = tmp_path / "models"
    models.mkdir()
    scripted_model(models / "polite.gguf", POLITE)
    return Settings(models=models, state=tmp_path / "state", port=0, strict=True, limits=limits())


@asynccontextmanager
async def loaded(settings: Settings) -> AsyncIterator[Looked]:
    """A runner that has answered, of a service whose environment is full of secrets."""
    async with faulted(settings, RunnerProcesses(environment=SECRETS)) as service:
        assert (await service.generate("polite")).json()["response"] == POLITE
        yield Looked(service.pid((await service.runner(RunnerState.READY)).runner))


async def test_cve_2026_7482_a_runner_with_a_model_has_no_secrets_in_its_environment(settings: Settings) -> None:
    async with loaded(settings) as runner:
        environment = runner.environment()
    assert environment.keys() <= {*ALLOWED, *FIXED}
    assert not [value for value in environment.values() if "secret" in value]
    assert environment["OMP_WAIT_POLICY"] == "passive", "it is the runner's environment that was read"


async def test_cve_2024_50050_a_runner_with_a_model_listens_nowhere_and_is_connected_to_nobody(
    settings: Settings,
) -> None:
    async with loaded(settings) as runner:
        assert runner.listening() == []
        assert runner.network() == []
        assert runner.shared_with_parent() == runner.output_pipe()


async def test_cve_2026_27940_a_runner_with_a_model_has_no_file_open_to_write_to(settings: Settings) -> None:
    """It has the model's pages, to read."""
    async with loaded(settings) as runner:
        mapped = runner.mapped("polite.gguf")
        assert set(runner.files()) <= {"polite.gguf"}
        assert runner.leads_its_session()
        assert runner.folder() == "/"
    assert mapped
    assert not [mode for mode in mapped if "w" in mode or "x" in mode]
