"""The settings of the server that `run` brings along."""

from pathlib import Path

import pytest

from service.cli.embedded import embedded_settings
from service.cli.exits import WrongSetting


def use(monkeypatch: pytest.MonkeyPatch, home: Path, text: str) -> None:
    (home / "config.toml").write_text(text)
    monkeypatch.delenv("ROUNDHOUSE_CONFIG")
    monkeypatch.setenv("ROUNDHOUSE_HOME", str(home))


def test_it_has_the_users_settings_but_its_own_address(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    use(monkeypatch, tmp_path, 'host = "0.0.0.0:80"\nport = 81\nkeep_alive = 0\nlog_level = "debug"\n')
    settings = embedded_settings()
    assert (settings.host, settings.port) == ("127.0.0.1", 0)
    assert settings.limits.keep_alive_default_ns == 0
    assert settings.models == tmp_path / "models"
    assert (settings.demo, settings.log_level) == (True, "error")
    assert not settings.spare  # one command, one load


def test_a_file_that_cannot_be_used_is_said_as_for_serve(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    use(monkeypatch, tmp_path, "wait = 1\n")
    with pytest.raises(WrongSetting, match=r"wait in .*, line 1, is no setting; the nearest one is wait_s"):
        embedded_settings()
