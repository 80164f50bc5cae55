"""What the task does before any engine is needed."""

import pytest

from runner.llama import bindings, task
from statemachines.errors import RemoteWireError
from statemachines.facts import FileIdentity, LoadFailure, LoadOptions
from statemachines.units import LeaseId
from statemachines.wire.exits import ExitStatus
from statemachines.wire.messages import Cancel, Load, LoadFailed, Shutdown, ToRunner, ToService


def run(message: ToRunner) -> tuple[int, list[ToService]]:
    sent: list[ToService] = []
    return task.run(lambda: message, lambda: None, sent.append), sent


def test_a_shutdown_before_the_load_ends_the_task() -> None:
    assert run(Shutdown()) == (ExitStatus.DONE, [])


def test_anything_else_before_the_load_is_the_services_fault() -> None:
    with pytest.raises(RemoteWireError, match="Cancel"):
        run(Cancel(LeaseId(1)))


def test_without_an_engine_the_load_fails_with_the_way_to_get_one(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bindings, "PACKAGE", "no_such_engine")
    assert task.prepare() == ""
    status, sent = run(Load(("model.gguf",), (FileIdentity(1, 2, 3, 4),), LoadOptions(512)))
    assert status == ExitStatus.NO_ENGINE
    assert sent == [LoadFailed(LoadFailure.ENGINE, task.NO_ENGINE)]
    assert "llama" in task.NO_ENGINE
