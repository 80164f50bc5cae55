"""`serve` where it does not get as far as serving; the rest is in tests/integration."""

import json
import os
import socket
from pathlib import Path

import pytest

from tests.service.cli.commands import roundhouse
from tests.service.cli.fake_server import serving


@pytest.mark.parametrize(
    ("name", "who"),
    [("roundhouse/9.8.7", f"Roundhouse 9.8.7 (pid {os.getpid()})"), ("ollama", f"another program (pid {os.getpid()})")],
)
def test_a_taken_port_is_said_with_who_has_it(tmp_path: Path, name: str, who: str) -> None:
    with serving(name) as other:
        done = roundhouse("serve", "--port", str(other.port), "--log-level", "error", home=tmp_path)
    assert done.returncode == 1
    assert done.stdout == ""
    assert done.stderr == (
        f"Error: port {other.port} is taken by {who}. Use that one, end it, or choose another port: "
        "roundhouse serve --port N (0 takes a free one)\n"
    )


def test_a_program_that_does_not_answer_is_another_program(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as mute:
        port = mute.getsockname()[1]
        done = roundhouse("serve", home=tmp_path, ROUNDHOUSE_PORT=str(port))
    assert done.returncode == 1
    assert f"port {port} is taken by another program (pid {os.getpid()})" in done.stderr


def test_what_an_operator_should_know_of_the_settings_is_logged(tmp_path: Path) -> None:
    with serving() as other:
        variables = {"OLLAMA_NUM_PARALLEL": "4", "ROUNDHOUSE_QUEUE": "1", "OLLAMA_KEEP_ALIVE": "1d"}
        done = roundhouse("serve", "--port", str(other.port), "--log-format", "json", home=tmp_path, **variables)
    rows = [json.loads(line) for line in done.stderr.splitlines() if line.startswith("{")]
    hints = [row["hint"] for row in rows if row["level"] == "warning"]
    assert [hint[:40] for hint in hints] == [
        "OLLAMA_KEEP_ALIVE='1d' is ignored: it mu",
        "set, but not read by Roundhouse: OLLAMA_",
        "ROUNDHOUSE_QUEUE is no setting of Roundh",
    ]


def test_the_folders_are_made_on_the_first_start_and_named(tmp_path: Path) -> None:
    folders = {"ROUNDHOUSE_MODELS": str(tmp_path / "m"), "ROUNDHOUSE_STATE": str(tmp_path / "s")}
    with serving() as other:
        first, second = (roundhouse("serve", "--port", str(other.port), home=tmp_path, **folders) for _ in range(2))
    assert [folder for folder in folders.values() if folder not in first.stderr] == []
    assert [folder for folder in folders.values() if folder in second.stderr] == []
    assert (tmp_path / "m").is_dir()
    assert (tmp_path / "s").is_dir()


@pytest.mark.parametrize("args", [["serve", "--port", "0"], ["run", "demo", "Hi"]], ids=["serve", "run"])
def test_a_state_folder_of_a_newer_version_is_a_setting_that_cannot_be(tmp_path: Path, args: list[str]) -> None:
    state = tmp_path / "state"
    state.mkdir()
    (state / "format").write_text("999\n")
    done = roundhouse(*args, home=tmp_path, ROUNDHOUSE_STATE=str(state), ROUNDHOUSE_HOST="127.0.0.1:1")
    assert done.returncode == 2
    words = " ".join(done.stderr.split())
    assert f"Error: state: {state} was written by a newer Roundhouse (its format is 999" in words
    assert "Traceback" not in words
