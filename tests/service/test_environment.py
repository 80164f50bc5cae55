"""The environment of a runner."""

import os

from service.environment import FIXED, runner_environment


def test_what_is_fixed_wins_over_what_the_service_was_started_with() -> None:
    assert runner_environment({"OMP_WAIT_POLICY": "active", "GGML_NO_BACKTRACE": "0"}) == dict(FIXED)


def test_search_paths_mean_the_same_folders_from_another_one() -> None:
    here = os.getcwd()
    found = runner_environment({"PYTHONPATH": os.pathsep.join((".", "/abs", "", "sub"))})["PYTHONPATH"]
    assert found.split(os.pathsep) == [here, "/abs", here, f"{here}/sub"]
