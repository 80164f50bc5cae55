from typing import Any

import pytest

from service.cli.names import same_model
from service.cli.waiting import waiting_words


def state(request: dict[str, Any], *runners: dict[str, Any]) -> dict[str, Any]:
    return {"requests": [{"request": 7, "model": "m:latest", "position": 0} | request], "runners": list(runners)}


WAITING = {"state": "waiting", "cause": {"cause": "slots", "words": "runner 3 answers others"}}


@pytest.mark.parametrize(
    ("given", "words"),
    [
        (
            state({"load": 2}, {"load": 2, "state": "loading", "progress_ppm": 430_000}),
            "m: loading, 43 %",
        ),
        (
            state(WAITING | {"load": 2}, {"load": 1, "state": "loading", "progress_ppm": 1}),
            "m: runner 3 answers others",
        ),
        (state(WAITING | {"position": 2}), "m: place 3, runner 3 answers others"),
        (state({"state": "waiting"}), "m: waiting for its turn"),
        (state({"state": "leased", "lease": 1, "load": 2}, {"load": 2, "state": "ready"}), "m: reading the prompt"),
        ({}, "m: waiting for the server"),
        ({"requests": None, "runners": 5}, "m: waiting for the server"),
    ],
    ids=["loading", "another's load", "a place", "no cause", "leased", "nothing known", "not understood"],
)
def test_the_wait_is_told_in_one_line(given: dict[str, Any], words: str) -> None:
    assert waiting_words(given, "m", 7) == words


@pytest.mark.parametrize(("one", "other"), [("m", "m:latest"), ("M:Latest", "m"), ("a/b", "a/B:latest")])
def test_two_references_mean_one_model(one: str, other: str) -> None:
    assert same_model(one, other)


@pytest.mark.parametrize(("one", "other"), [("m", "n"), ("m:a", "m"), ("host:80/m", "m")])
def test_two_references_mean_two_models(one: str, other: str) -> None:
    assert not same_model(one, other)
