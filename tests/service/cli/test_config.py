"""`roundhouse config`: what `serve` would have, and why."""

import json
import os
import re
import subprocess
from pathlib import Path

import pytest

from service.cli.configuration import read_file
from service.cli.declarations import SETTINGS
from service.cli.example import example
from service.cli.settings import resolve
from tests.service.cli.commands import roundhouse


def ended(done: subprocess.CompletedProcess[str], status: int = 0) -> str:
    """What it printed, once its status is as expected."""
    assert done.returncode == status, done.stderr
    return done.stdout


def test_every_setting_is_shown_with_its_source(tmp_path: Path) -> None:
    file = tmp_path / ".config/roundhouse/config.toml"
    file.parent.mkdir(parents=True)
    file.write_text('log_level = "debug"\n\nqueue_len = 7\n')
    variables = {"ROUNDHOUSE_WAIT_S": "0.5", "OLLAMA_KEEP_ALIVE": "90s", "ROUNDHOUSE_ORIGINS": "https://a, https://b"}
    done = roundhouse("config", "--port", "0", "--demo", home=tmp_path, **variables)
    rows = {line.split()[0]: re.split(r" {2,}", line.strip())[1:] for line in ended(done).splitlines()[1:]}
    assert list(rows) == [setting.name for setting in SETTINGS]
    assert {name: row for name, row in rows.items() if row[1] != "default"} == {
        "port": ["0", "--port"],
        "demo": ["on", "--demo"],
        "wait_s": ["0.5", "ROUNDHOUSE_WAIT_S"],
        "origins": ["https://a,https://b", "ROUNDHOUSE_ORIGINS"],
        "keep_alive": ["90s", "OLLAMA_KEEP_ALIVE"],
        "log_level": ["debug", f"log_level in {file}, line 1"],
        "queue_len": ["7", f"queue_len in {file}, line 3"],
    }
    assert rows["state"] == [str(tmp_path / ".local/state/roundhouse"), "default"]


def test_programs_get_the_same_as_json(tmp_path: Path) -> None:
    file = tmp_path / "config.toml"
    file.write_text("wait_s = 20\n")
    done = roundhouse(
        "config", "--json", "--host", ":8080", "--allow-remote", home=tmp_path, ROUNDHOUSE_HOME=str(tmp_path)
    )
    view = json.loads(ended(done))
    settings = {row.pop("name"): row for row in view["settings"]}
    assert (view["file"], view["warnings"]) == (str(file), [])
    assert list(settings) == [setting.name for setting in SETTINGS]
    assert settings["wait_s"] == {
        "value": 20,
        "source": "file",
        "origin": "wait_s",
        "file": str(file),
        "line": 1,
        "default": 600,
        "flag": "--wait-s",
        "variables": ["ROUNDHOUSE_WAIT_S"],
    }
    found = {name: (row["value"], row["source"], row["origin"]) for name, row in settings.items()}
    assert found["host"] == ("0.0.0.0", "flag", "--host")
    assert found["port"] == (8080, "flag", "--host")
    assert found["models"] == (str(tmp_path / "models"), "environment", "ROUNDHOUSE_HOME")
    assert found["origins"] == ([], "default", None)
    assert found["demo"] == (False, "default", None)
    assert found["keep_alive"] == ("5m", "default", None)
    assert found["host_budget"] == ("none", "default", None)


def test_it_reads_the_file_that_serve_would_read_and_changes_nothing(tmp_path: Path) -> None:
    (tmp_path / "one.toml").write_text("queue_len = 1\n")
    (tmp_path / "two.toml").write_text("queue_len = 2\n")
    variables = {"ROUNDHOUSE_CONFIG": str(tmp_path / "one.toml")}
    by_variable = roundhouse("config", home=tmp_path, **variables)
    by_flag = roundhouse("config", "--config", str(tmp_path / "two.toml"), home=tmp_path, **variables)
    assert f"queue_len in {tmp_path}/one.toml, line 1" in ended(by_variable)
    assert f"queue_len in {tmp_path}/two.toml, line 1" in ended(by_flag)
    assert sorted(os.listdir(tmp_path)) == ["one.toml", "two.toml"]


def test_what_serve_would_warn_of_is_on_standard_error(tmp_path: Path) -> None:
    done = roundhouse("config", home=tmp_path, OLLAMA_NUM_PARALLEL="4", ROUNDHOUSE_QUEUE="1")
    assert ended(done).startswith("SETTING")
    assert [line[:33] for line in done.stderr.splitlines()] == [
        "Warning: set, but not read by Rou",
        "Warning: ROUNDHOUSE_QUEUE is no s",
    ]


@pytest.mark.parametrize("command", ["config", "serve"])
@pytest.mark.parametrize(
    ("text", "words"),
    [
        (
            "quue_len = 5\n",
            "quue_len in {file}, line 1, is no setting; the nearest one is queue_len; `roundhouse config",
        ),
        ('wait_s = "soon"\n', 'wait_s = "soon" in {file}, line 1, cannot be used: it must be a number of seconds'),
        ("demo = true\nslots = 4\n", "slots: slots in {file}, line 2 asks for 4"),
        (
            'host = "0.0.0.0"\n',
            "host in {file}, line 1 asks to listen on 0.0.0.0:11434, which other machines can reach",
        ),
        ("[queue]\nlen = 5\n", "queue in {file}, line 1, is a table"),
        ("wait_s = 5s\n", "the configuration file {file} is no TOML"),
    ],
)
def test_a_file_that_cannot_be_used_is_status_2_and_one_sentence(
    tmp_path: Path, command: str, text: str, words: str
) -> None:
    file = tmp_path / "f.toml"
    file.write_text(text)
    done = roundhouse(command, "--config", str(file), home=tmp_path)
    assert ended(done, 2) == ""
    assert done.stderr.startswith(f"Error: {words.format(file=file)}")
    assert done.stderr.count("\n") == 1


def test_a_line_is_judged_even_where_a_flag_outranks_it(tmp_path: Path) -> None:
    file = tmp_path / "f.toml"
    file.write_text("wait_s = true\n")
    done = roundhouse("config", "--config", str(file), "--wait-s", "5", home=tmp_path)
    assert ended(done, 2) == ""


def test_a_file_can_be_checked_before_it_is_put_in_place(tmp_path: Path) -> None:
    good, bad = tmp_path / "good.toml", tmp_path / "bad.toml"
    good.write_text("wait_s = 5\n")
    bad.write_text("wait = 5\n")
    (tmp_path / "config.toml").write_text("no TOML")
    environ = {"ROUNDHOUSE_HOME": str(tmp_path)}
    assert ended(roundhouse("config", "--check", str(good), home=tmp_path, **environ)).startswith(
        f"{good}: `serve` can"
    )
    done = roundhouse("config", "--check", str(bad), home=tmp_path, **environ)
    assert ended(done, 2) == ""
    assert "the nearest one is wait_s" in done.stderr
    done = roundhouse("config", "--check", "", home=tmp_path)
    assert ended(done, 2) == ""
    assert "--check names no file" in done.stderr


def test_the_example_says_the_defaults_and_changes_nothing_as_it_is(tmp_path: Path) -> None:
    file = tmp_path / "example.toml"
    text = example(resolve(()).values)
    file.write_text(text)
    as_it_is = read_file(file)
    assert as_it_is is not None
    assert [setting.name for setting in SETTINGS if as_it_is.find(setting)] == []
    file.write_text(re.sub(r"^#(?=\w)", "", text, flags=re.MULTILINE))
    every_line = read_file(file)
    assert every_line is not None
    assert [setting.name for setting in SETTINGS if every_line.find(setting) is None] == []
    assert resolve((every_line,)).settings == resolve(()).settings
    assert max(len(line) for line in text.splitlines() if line.startswith("# ")) <= 80


def test_the_example_is_there_when_the_file_is_broken(tmp_path: Path) -> None:
    (tmp_path / "config.toml").write_text("no TOML")
    printed = ended(roundhouse("config", "--example", home=tmp_path, ROUNDHOUSE_HOME=str(tmp_path)))
    assert f'#models = "{tmp_path}/models"' in printed.splitlines()


def test_a_server_logs_which_file_it_read(tmp_path: Path) -> None:
    file = tmp_path / "f.toml"
    file.write_text('host = "203.0.113.7"\nallow_remote = true\n')
    done = roundhouse("serve", "--config", str(file), "--log-format", "json", home=tmp_path)
    assert "203.0.113.7 is no address of this machine" in done.stderr
    row = next(json.loads(line) for line in done.stderr.splitlines() if "settings read" in line)
    assert row["file"] == str(file)
