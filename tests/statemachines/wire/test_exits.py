"""Exit statuses."""

from statemachines.wire.exits import ExitStatus


def test_statuses_are_told_apart_from_signals_and_from_pythons_own() -> None:
    assert ExitStatus.DONE == 0
    assert all(64 <= status < 128 for status in ExitStatus if status is not ExitStatus.DONE)
    assert len({int(status) for status in ExitStatus}) == len(ExitStatus)
