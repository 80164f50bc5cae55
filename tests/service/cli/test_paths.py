"""`roundhouse paths`: where things live."""

import json
import os
from pathlib import Path

import pytest

from tests.service.cli.commands import roundhouse


def rows(*args: str, home: Path, **variables: str) -> dict[str, tuple[str, bool | None, str]]:
    done = roundhouse("paths", "--json", *args, home=home, **variables)
    assert done.returncode == 0, done.stderr
    return {row["name"]: (row["path"], row["exists"], row["origin"]) for row in json.loads(done.stdout)}


def test_everything_has_its_usual_place(tmp_path: Path) -> None:
    state = tmp_path / ".local/state/roundhouse"
    state.mkdir(parents=True)
    (state / "digests.json").touch()
    assert rows(home=tmp_path) == {
        "config": (str(tmp_path / ".config/roundhouse/config.toml"), False, "default"),
        "models": (str(tmp_path / ".local/share/roundhouse/models"), False, "default"),
        "state": (str(state), True, "default"),
        "admin socket": (str(state / "admin.sock"), False, "default"),
        "digests": (str(state / "digests.json"), True, "default"),
        "journals": (str(state / "journals"), False, "default"),
    }


def test_one_variable_moves_all(tmp_path: Path) -> None:
    found = rows(home=Path("/nonexistent"), ROUNDHOUSE_HOME=str(tmp_path))
    assert {name: (Path(path).relative_to(tmp_path).as_posix(), by) for name, (path, _, by) in found.items()} == {
        "config": ("config.toml", "ROUNDHOUSE_HOME"),
        "models": ("models", "ROUNDHOUSE_HOME"),
        "state": ("state", "ROUNDHOUSE_HOME"),
        "admin socket": ("state/admin.sock", "ROUNDHOUSE_HOME"),
        "digests": ("state/digests.json", "ROUNDHOUSE_HOME"),
        "journals": ("state/journals", "ROUNDHOUSE_HOME"),
    }


def test_a_setting_outranks_the_one_variable(tmp_path: Path) -> None:
    file = tmp_path / "f.toml"
    file.write_text('models = "/srv/models"\nwait_s = "judged by others"\n')
    environ = {"ROUNDHOUSE_HOME": str(tmp_path), "ROUNDHOUSE_CONFIG": str(file)}
    found = rows("--state", str(tmp_path), home=tmp_path, **environ)
    assert found["config"] == (str(file), True, "ROUNDHOUSE_CONFIG")
    assert found["models"] == ("/srv/models", False, f"models in {file}, line 1")
    assert found["journals"] == (str(tmp_path / "journals"), False, "--state")


def test_an_admin_socket_is_where_it_was_put_and_a_port_is_no_file(tmp_path: Path) -> None:
    put = rows(home=tmp_path, ROUNDHOUSE_ADMIN_LISTEN="unix:/run/rh.sock")
    assert put["admin socket"] == ("/run/rh.sock", False, "ROUNDHOUSE_ADMIN_LISTEN")
    assert "admin socket" not in rows("--admin-listen", "127.0.0.1:9000", home=tmp_path)


def test_a_relative_home_becomes_absolute_and_a_tilde_is_the_users(tmp_path: Path) -> None:
    assert rows(home=tmp_path, ROUNDHOUSE_HOME="~/rh")["models"][0] == str(tmp_path / "rh/models")
    assert rows(home=tmp_path, ROUNDHOUSE_HOME="rh")["models"][0] == str(Path.cwd() / "rh/models")


def test_a_home_that_no_runner_could_be_told_of_is_status_2(tmp_path: Path) -> None:
    done = roundhouse("paths", home=tmp_path, ROUNDHOUSE_HOME=os.fsdecode(b"/rh\xff"))
    assert (done.returncode, done.stdout) == (2, "")
    assert "cannot be used: its name is not UTF-8" in done.stderr


@pytest.mark.parametrize(
    ("command", "name"),
    [
        ("paths", "ROUNDHOUSE_HOME"),
        ("paths", "ROUNDHOUSE_CONFIG"),
        ("config", "ROUNDHOUSE_HOME"),
        ("config --example", "ROUNDHOUSE_HOME"),
    ],
)
def test_the_home_of_nobody_is_status_2(tmp_path: Path, command: str, name: str) -> None:
    done = roundhouse(*command.split(), home=tmp_path, **{name: "~there-is-no-such-user/rh"})
    assert (done.returncode, done.stdout) == (2, "")
    assert f"{name}='~there-is-no-such-user/rh' cannot be used: there is no such user" in done.stderr


def test_what_may_not_be_looked_at_is_neither_there_nor_missing(tmp_path: Path) -> None:
    loop = tmp_path / "models"
    loop.symlink_to(loop)
    assert rows(home=tmp_path, ROUNDHOUSE_HOME=str(tmp_path))["models"][1] is None


def test_people_get_a_table(tmp_path: Path) -> None:
    done = roundhouse("paths", home=tmp_path, ROUNDHOUSE_HOME=str(tmp_path))
    head, config, *_ = done.stdout.splitlines()
    assert head.split() == ["NAME", "PATH", "THERE", "SOURCE"]
    assert config.split() == ["config", str(tmp_path / "config.toml"), "no", "ROUNDHOUSE_HOME"]


@pytest.mark.parametrize(
    ("text", "words"), [("models = 3", "models = 3 in "), ("model = 3", "the nearest one is models")]
)
def test_a_file_that_cannot_be_used_is_status_2(tmp_path: Path, text: str, words: str) -> None:
    (tmp_path / "config.toml").write_text(text)
    done = roundhouse("paths", home=tmp_path, ROUNDHOUSE_HOME=str(tmp_path))
    assert (done.returncode, done.stdout) == (2, "")
    assert words in done.stderr
