"""``kill -9`` of the service, whatever its runners are doing: none outlives it, and the next start works at once."""

import json
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import Any

import psutil
import pytest

from statemachines.units import NS_PER_S
from tests.integration.faults import service_phases as phases
from tests.integration.faults.harness import HUNG_S, POLITE, limits
from tests.integration.faults.separate import Separate, separate
from tests.integration.faults.service_phases import Phase

PATIENT = limits(shutdown_drain_ns=HUNG_S * NS_PER_S, stop_grace_ns=HUNG_S * NS_PER_S, load_grace_ns=0)
"""It gives runners that drain or were asked to end all the time of a test; a load that nobody wants ends at once."""
ENDED = "the server before this one ended without stopping"
TAKEN = "another server has the state folder: this one reads it and writes nothing there"


@contextmanager
def service_in(phase: Phase, models: Path, folder: Path) -> Iterator[Separate]:
    with ExitStack() as clients, separate(models, folder, limits=PATIENT, **phases.needs(phase)) as service:
        phase(service, clients)
        yield service


def check_next_start(models: Path, folder: Path, dead: Separate, **found: Any) -> None:
    """On the same port and state folder, with clients of the dead one still connected."""
    with separate(models, folder, port=dead.port) as service:
        (row,) = service.said(ENDED)
        assert row["level"] == "warning"
        assert found.items() <= row.items()
        assert (row["pid"], row["address"]) == (dead.process.pid, dead.address)
        assert service.said(TAKEN) == []
        assert service.generate("polite").json()["response"] == POLITE
        assert service.end() == 0
    with separate(models, folder, port=dead.port) as service:
        assert service.said(ENDED) == []


@pytest.mark.parametrize("phase", phases.AWAKE, ids=lambda phase: phase.__name__)
def test_no_runner_outlives_it_and_the_next_start_works_at_once(models: Path, tmp_path: Path, phase: Phase) -> None:
    with service_in(phase, models, tmp_path) as service:
        service.murder()
        check_next_start(models, tmp_path, service, runners_ended=[])


@pytest.mark.parametrize("phase", [phases.unloading, phases.withdrawn], ids=lambda phase: phase.__name__)
def test_a_runner_that_was_asked_to_end_and_cannot_hear_it_ends_when_it_can(
    models: Path, tmp_path: Path, phase: Phase
) -> None:
    with service_in(phase, models, tmp_path) as service:
        runner = phases.the_runner(service)
        service.kill()
        assert runner.status() == psutil.STATUS_STOPPED
        runner.resume()
        assert psutil.wait_procs([runner], timeout=HUNG_S)[1] == []


@pytest.mark.parametrize("phase", [phases.frozen, phases.unloading, phases.withdrawn], ids=lambda phase: phase.__name__)
def test_a_runner_that_notices_nothing_is_ended_by_the_next_start(models: Path, tmp_path: Path, phase: Phase) -> None:
    with service_in(phase, models, tmp_path) as service:
        runner = phases.the_runner(service)
        service.kill()
        assert runner.status() == psutil.STATUS_STOPPED
        check_next_start(models, tmp_path, service, runners_ended=[runner.pid])
        assert not runner.is_running() or runner.status() == psutil.STATUS_ZOMBIE


def test_a_second_server_names_the_first_and_leaves_its_folder_and_its_runners_alone(
    models: Path, tmp_path: Path
) -> None:
    with service_in(phases.frozen, models, tmp_path) as first:
        runner = phases.the_runner(first)
        before = settled(models, tmp_path / "state")
        with separate(models, tmp_path) as second:
            (row,) = second.said(TAKEN)
            assert (row["pid"], row["address"], row["level"]) == (first.process.pid, first.address, "warning")
            assert second.generate("kind").status_code == 200
            assert second.end() == 0
        assert contents(tmp_path / "state") == before
        runner.resume()
        assert first.generate("polite").json()["response"] == POLITE
        assert phases.the_runner(first) == runner


def test_runners_that_a_second_server_has_left_are_ended_and_the_first_one_s_are_not(
    models: Path, tmp_path: Path
) -> None:
    with service_in(phases.frozen, models, tmp_path) as first, service_in(phases.frozen, models, tmp_path) as second:
        left = phases.the_runner(second)
        second.kill()
        with separate(models, tmp_path) as third:
            (row,) = third.said("a server that is gone has left runners")
            assert row["runners_ended"] == [left.pid]
            assert len(third.said(TAKEN)) == 1
            assert third.end() == 0
        phases.the_runner(first).resume()
        assert first.generate("polite").json()["response"] == POLITE


def settled(models: Path, state: Path) -> dict[str, bytes]:
    """Every file, once the digests of all models are known, so that their server has nothing more to write."""
    wanted = len(list(models.glob("*.gguf")))
    while len(json.loads(contents(state).get("digests.json", '{"rows":[]}'))["rows"]) < wanted:
        pass
    return contents(state)


def contents(folder: Path) -> dict[str, bytes]:
    found: dict[str, bytes] = {}
    for path in folder.rglob("*"):
        with suppress(FileNotFoundError, IsADirectoryError):  # One that was being written has its own name by now.
            found[str(path.relative_to(folder))] = path.read_bytes()
    return found
