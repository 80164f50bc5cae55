"""The command itself: what it costs, what it says about itself, what it refuses."""

import subprocess
import sys
from pathlib import Path

import pytest
from click.testing import CliRunner

from service.cli.declarations import SETTINGS
from service.cli.main import main
from service.cli.reference import renewed
from service.version import own_version
from tests.checkout import ROOT
from tests.service.cli.commands import environment, roundhouse

HEAVY = ("quart", "hypercorn", "quart_trio", "jinja2", "numpy", "llama_cpp", "prometheus_client", "transitions")


def test_the_version_is_printed_without_a_server() -> None:
    result = CliRunner().invoke(main, ["--version"])
    assert (result.exit_code, result.output) == (0, f"roundhouse {own_version()}\n")


@pytest.mark.parametrize(
    ("args", "absent"),
    [
        (["--version"], (*HEAVY, "httpx", "trio", "msgspec")),
        (["--help"], HEAVY),
        (["list"], HEAVY),
        (["serve", "--help"], HEAVY),
        (["config"], (*HEAVY, "httpx", "trio")),
        (["paths"], (*HEAVY, "httpx")),
    ],
    ids=" ".join,
)
def test_a_small_command_does_not_pay_for_the_web_stack(
    tmp_path: Path, args: list[str], absent: tuple[str, ...]
) -> None:
    code = (
        "import sys\n"
        "from service.cli.main import main\n"
        f"try: main({args!r})\n"
        "except SystemExit: pass\n"
        "sys.stderr.write(' '.join(name for name in sys.modules if '.' not in name))"
    )
    done = subprocess.run(
        [sys.executable, "-c", code],
        env=environment(tmp_path, ROUNDHOUSE_HOST="127.0.0.1:1"),
        capture_output=True,
        timeout=60,
        check=False,
    )
    imported = set(done.stderr.decode().split())
    assert "click" in imported
    assert imported.isdisjoint(absent)


def test_help_names_every_command() -> None:
    output = CliRunner().invoke(main, ["-h"]).output
    assert [word for word in ("serve", "run", "list", "ps", "stop", "config", "paths") if word not in output] == []


@pytest.mark.parametrize("name", ["serve", "start"])
def test_the_help_of_serve_shows_every_setting_with_default_and_variables(name: str) -> None:
    words = " ".join(CliRunner().invoke(main, [name, "--help"]).output.split())
    for setting in SETTINGS:
        entry = words[words.index(f" {setting.flag} ") :]
        facts = entry[entry.index("[default: ") :].partition("]")[0]
        assert facts.startswith(f"[default: {setting.default_words()}; env: {setting.env}")
        assert setting.fallback is None or setting.fallback.env in facts


@pytest.mark.parametrize("name", ["serve", "config", "paths"])
def test_help_fits_eighty_columns(name: str) -> None:
    lines = CliRunner().invoke(main, [name, "--help"], terminal_width=80).output.splitlines()
    assert [line for line in lines if len(line) > 80] == []
    assert any("--config FILE" in line for line in lines)


def test_the_settings_page_is_current() -> None:
    page = (ROOT / "docs/reference/settings.md").read_text()
    assert page == renewed(page), "run: python -m service.cli.reference docs/reference/settings.md"
    assert all(f"`{setting.flag}`" in page for setting in SETTINGS)


def test_windows_is_refused_with_a_sentence(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "platform", "win32")
    result = CliRunner().invoke(main, ["--version"])
    assert result.exit_code == 1
    assert "not on Windows" in result.output


def test_an_unknown_command_is_a_usage_error() -> None:
    result = CliRunner().invoke(main, ["pull", "m"])
    assert result.exit_code == 2
    assert "No such command 'pull'" in result.output


def test_a_pipe_that_closes_early_ends_a_table_quietly(tmp_path: Path) -> None:
    script = """exec "$0" -c 'from service.cli.main import main; main()' serve --help | exec head -n 1"""
    done = subprocess.run(
        ["/bin/sh", "-c", script, sys.executable],
        env=environment(tmp_path),
        capture_output=True,
        timeout=60,
        check=True,
    )
    assert done.stdout.startswith(b"Usage:")
    assert done.stderr == b""


@pytest.mark.parametrize(
    ("args", "variables", "words"),
    [
        (["--queue-len", "none"], {}, "--queue-len='none' cannot be used: it must be a whole number, 1 or more"),
        (["--slots", "4"], {}, "slots: --slots asks for 4"),
        ([], {"ROUNDHOUSE_SLOTS": "2"}, "slots: ROUNDHOUSE_SLOTS asks for 2"),
        ([], {"OLLAMA_HOST": "0.0.0.0"}, "there is no password and no encryption"),
        (["--host", "0.0.0.0", "--no-allow-remote"], {"ROUNDHOUSE_ALLOW_REMOTE": "1"}, "--allow-remote to consent"),
        (["--models", "/proc/models"], {}, "the models folder /proc/models cannot be made"),
    ],
)
def test_a_setting_that_cannot_be_is_status_2(
    tmp_path: Path, args: list[str], variables: dict[str, str], words: str
) -> None:
    done = roundhouse("serve", *args, home=tmp_path, **variables)
    assert done.returncode == 2
    assert words in " ".join(done.stderr.split())
    assert "Traceback" not in done.stderr
