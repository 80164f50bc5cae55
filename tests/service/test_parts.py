"""How the parts of a service are put together; its life with real processes is in tests/integration."""

import io
from pathlib import Path

from service.config import Settings
from service.logs import make_log
from service.parts import Parts
from statemachines.events import ServiceOpened


def test_the_journal_is_as_long_as_the_setting_says(tmp_path: Path) -> None:
    settings = Settings(models=tmp_path / "models", state=tmp_path / "state", journal_steps_max=3)
    parts = Parts(settings, make_log(log_format="json", level="error", stream=io.StringIO()))
    for number in range(5):
        parts.journal.write(ServiceOpened(at=number), ())
    assert [step.event.at for step in parts.journal.steps()] == [2, 3, 4]
