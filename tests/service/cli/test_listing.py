from collections.abc import Iterator
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from service.cli.main import main
from tests.service.cli.commands import roundhouse
from tests.service.cli.fake_server import FakeServer, serving

MODEL = {"name": "m:latest", "modified_at": "2020-01-01T00:00:00Z", "size": 1500, "digest": "0123456789abcdef"}
LOADED = {"name": "m:latest", "expires_at": "2320-01-01T00:00:00Z", "size": 1500, "size_vram": 0, "context_length": 8}


@pytest.fixture
def server() -> Iterator[FakeServer]:
    with serving() as fake:
        yield fake


def invoke(server: FakeServer, *args: str) -> Result:
    return CliRunner().invoke(main, [*args, "--host", server.url])


@pytest.mark.parametrize("name", ["list", "ls"])
def test_list_shows_the_models(server: FakeServer, name: str) -> None:
    server.replies["GET /api/tags"] = []
    server.reply("GET /api/tags", {"models": [MODEL, MODEL | {"name": "Other:1b"}]})
    result = invoke(server, name)
    assert result.exit_code == 0
    assert [row.split()[:4] for row in result.output.splitlines()] == [
        ["NAME", "ID", "SIZE", "MODIFIED"],
        ["m:latest", "0123456789ab", "1.5", "KB"],
        ["Other:1b", "0123456789ab", "1.5", "KB"],
    ]
    assert [row.split()[0] for row in invoke(server, name, "oTh").output.splitlines()] == ["NAME", "Other:1b"]


def test_ps_shows_what_is_loaded(server: FakeServer) -> None:
    server.reply("GET /api/ps", {"models": [LOADED, LOADED | {"name": "Other:1b"}]})
    result = invoke(server, "ps")
    assert result.exit_code == 0
    assert [row.split()[0] for row in result.output.splitlines()] == ["NAME", "m:latest", "Other:1b"]
    assert result.output.splitlines()[1].split()[-1] == "Forever"
    assert [row.split()[0] for row in invoke(server, "ps", "oth").output.splitlines()] == ["NAME"]


def test_stop_unloads(server: FakeServer) -> None:
    server.reply("POST /api/generate", {"done": True, "done_reason": "unload"})
    result = invoke(server, "stop", "m")
    assert (result.exit_code, result.output) == (0, "")
    assert server.bodies("POST /api/generate") == [{"model": "m", "keep_alive": 0}]


def test_stop_of_a_model_that_is_not_there_says_so(server: FakeServer) -> None:
    server.reply("POST /api/generate", {"error": "model 'x' not found"}, status=404)
    result = invoke(server, "stop", "x")
    assert (result.exit_code, result.output) == (1, 'Error: couldn\'t find model "x" to stop\n')


def test_stop_says_why_a_server_refused(server: FakeServer) -> None:
    server.reply("POST /api/generate", {"error": "the service is draining"}, status=503)
    result = invoke(server, "stop", "m")
    assert (result.exit_code, result.output) == (1, "Error: the service is draining\n")


@pytest.mark.parametrize("args", [("list",), ("ps",), ("stop", "m")])
def test_without_a_server_the_status_is_3(args: tuple[str, ...]) -> None:
    with serving() as gone:
        pass
    result = invoke(gone, *args)
    assert result.exit_code == 3
    assert result.output == f"Error: no Roundhouse at {gone.url}: nobody answers. Start one with: roundhouse serve\n"


def test_another_program_on_the_port_is_no_server() -> None:
    with serving("Python/3.11") as other:
        result = invoke(other, "list")
    assert result.exit_code == 3
    assert "another program answers" in result.output


@pytest.mark.parametrize("variable", ["ROUNDHOUSE_HOST", "OLLAMA_HOST"])
def test_the_server_is_found_by_a_variable(server: FakeServer, variable: str) -> None:
    result = CliRunner().invoke(main, ["list"], env={variable: f"127.0.0.1:{server.port}"})
    assert result.exit_code == 0


def test_an_address_that_is_none_is_a_usage_error() -> None:
    result = CliRunner().invoke(main, ["list", "--host", "host:port"])
    assert result.exit_code == 2
    assert "--host='host:port' cannot be used" in result.output


def test_a_proxy_is_not_asked_for_this_machine(server: FakeServer) -> None:
    result = CliRunner().invoke(main, ["list", "--host", server.url], env={"HTTP_PROXY": "http://127.0.0.1:1"})
    assert result.exit_code == 0


def test_the_server_is_found_through_the_configuration_file(server: FakeServer, tmp_path: Path) -> None:
    server.replies["GET /api/tags"] = []
    server.reply("GET /api/tags", {"models": [MODEL]})
    (tmp_path / "config.toml").write_text(f"port = {server.port}\n")
    done = roundhouse("list", home=tmp_path, ROUNDHOUSE_HOME=str(tmp_path))
    assert (done.returncode, done.stdout.splitlines()[1].split()[0]) == (0, "m:latest")


def test_a_configuration_file_that_cannot_be_used_is_status_2(tmp_path: Path) -> None:
    (tmp_path / "config.toml").write_text("port = 'x'\n")
    done = roundhouse("list", home=tmp_path, ROUNDHOUSE_HOME=str(tmp_path))
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.startswith(f'Error: port = "x" in {tmp_path}/config.toml, line 1, cannot be used')
