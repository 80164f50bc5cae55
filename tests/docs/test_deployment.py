"""What the files for operators say is true of the service as it is."""

import fnmatch
import json
import re
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path
from urllib.parse import urlsplit

import click
import msgspec
import pytest

from service.carrier import end_s
from service.cli.addresses import DEFAULT_PORT
from service.cli.amounts import parse_bytes
from service.cli.configuration import ConfigFile
from service.cli.declarations import SETTINGS
from service.cli.exits import INTERRUPTED, USAGE
from service.cli.main import main
from service.cli.ollama import UNREAD
from service.cli.settings import resolve, sources
from service.cli.variables import Environment
from service.config import Settings
from service.descriptor_limit import DESCRIPTORS_WANTED
from service.http.guard import may_name
from service.http.routes import HEALTH, ROUTES
from statemachines.limits import Limits
from statemachines.units import NS_PER_S
from tests.checkout import ROOT
from tests.docs.deployment import FILES, assignments, instructions, page, text_of, unit

ON_PAGE = {
    "roundhouse.service": "run-as-a-systemd-service.md",
    "Containerfile": "run-in-a-container.md",
    "nginx.conf": "put-a-proxy-before-it.md",
    "Caddyfile": "put-a-proxy-before-it.md",
}
BREAKS_GPUS_OR_FIGURES = {
    "PrivateDevices",
    "DevicePolicy",
    "DeviceAllow",
    "ProtectClock",
    "MemoryDenyWriteExecute",
    "ProcSubset",
    "PrivateNetwork",
}


def body_bytes_max() -> int:
    return next(info.default for info in msgspec.structs.fields(Settings) if info.name == "body_bytes_max")


def check_command(words: list[str]) -> None:
    """Fails unless `roundhouse` knows the command and its flags."""
    command = main.get_command(click.Context(main), words[0])
    assert command is not None, words
    command.make_context(words[0], words[1:])


def test_every_file_is_on_its_page_as_it_is() -> None:
    assert sorted(ON_PAGE) == sorted(path.name for path in FILES.iterdir())
    for name, on_page in ON_PAGE.items():
        assert f"\n{text_of(name)}```\n" in page(on_page), name


# The unit


@pytest.mark.skipif(shutil.which("systemd-analyze") is None, reason="systemd is not installed")
def test_systemd_understands_the_unit(tmp_path: Path) -> None:
    copy = tmp_path / "roundhouse.service"
    copy.write_text(text_of("roundhouse.service").replace("/opt/roundhouse/bin/roundhouse", sys.executable))
    done = subprocess.run(["systemd-analyze", "verify", copy], capture_output=True, text=True, timeout=60, check=False)
    assert (done.returncode, done.stderr) == (0, "")


def test_the_unit_starts_the_server_with_folders_that_it_may_write_to() -> None:
    found = unit()
    check_command(found["ExecStart"][0].split()[1:])
    environ = assignments(found["Environment"])
    assert Environment(environ).warnings() == []
    settings = resolve(sources({"config": "/dev/null"}, environ)).settings
    state = Path("/var/lib") / found["StateDirectory"][0]
    assert (settings.models, settings.state) == (state / "models", state / "state")


def test_the_unit_waits_longer_than_the_server_may_take_to_end() -> None:
    assert int(unit()["TimeoutStopSec"][0]) > end_s(Limits())
    assert unit()["KillMode"] == ["mixed"]


def test_the_unit_waits_for_the_word_that_the_server_gives() -> None:
    assert unit()["Type"] == ["notify"]
    assert "NotifyAccess" not in unit()  # by default the main process may give it, and the server is that one


def test_the_unit_knows_our_exit_statuses() -> None:
    assert unit()["SuccessExitStatus"] == [str(INTERRUPTED)]
    assert unit()["RestartPreventExitStatus"] == [str(USAGE)]


def test_the_unit_lets_the_server_see_to_lost_runners_devices_and_figures() -> None:
    found = unit()
    assert found["OOMPolicy"] == ["continue"]
    assert found["LimitNOFILE"] == [str(DESCRIPTORS_WANTED)]
    assert "AF_NETLINK" in found["RestrictAddressFamilies"][0].split()
    assert set(found) & BREAKS_GPUS_OR_FIGURES == set()


# The image


def test_the_image_holds_the_whole_package_and_the_pinned_engine() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    copied = {word.rstrip("/") for kind, rest in instructions() if kind == "COPY" for word in rest.split()[:-1]}
    packages = {name.rstrip("*") for name in project["tool"]["setuptools"]["packages"]["find"]["include"]}
    assert packages | {"pyproject.toml", "README.md", "LICENSE", "constraints.txt"} <= copied
    assert [name for name in copied if not (ROOT / name).exists()] == []
    compiled = [rest for kind, rest in instructions() if kind == "RUN" and "llama-cpp-python" in rest]
    assert len(compiled) == 1
    assert "--constraint constraints.txt" in compiled[0]


def test_the_image_has_short_names_only_and_its_user_is_not_root() -> None:
    found = instructions()
    bases = [rest.split()[0] for kind, rest in found if kind == "FROM"]
    assert [base for base in bases if "/" in base or not base.startswith("python:3.")] == []
    kinds = [kind for kind, _ in found]
    assert dict(found)["USER"] not in ("root", "0")
    assert kinds.index("USER") < kinds.index("ENTRYPOINT")


def test_the_image_serves_to_its_own_network_and_keeps_what_it_writes() -> None:
    found = dict(instructions())
    settings = resolve(sources({"config": "/dev/null"}, assignments([found["ENV"]]))).settings
    assert (settings.host, settings.allow_remote, str(settings.port)) == ("0.0.0.0", True, found["EXPOSE"])
    assert all(folder.is_relative_to(found["VOLUME"]) for folder in (settings.models, settings.state))
    init, _, *command = json.loads(found["ENTRYPOINT"])
    assert (init, command) == ("tini", ["roundhouse"])
    check_command(json.loads(found["CMD"]))


def test_the_image_asks_after_its_health_where_there_is_an_answer() -> None:
    (address,) = re.findall(r"http://[^']+", dict(instructions())["HEALTHCHECK"])
    url = urlsplit(address)
    assert (url.hostname, url.port, url.path) == ("127.0.0.1", DEFAULT_PORT, HEALTH.path)


def test_a_container_is_given_the_time_that_the_server_may_take_to_end() -> None:
    (seconds,) = set(re.findall(r"--stop-timeout (\d+)", page("run-in-a-container.md")))
    assert int(seconds) > end_s(Limits())


# Proxies


def test_proxies_wait_longer_than_a_request_may() -> None:
    (seconds,) = re.findall(r"proxy_read_timeout (\d+)s;", text_of("nginx.conf"))
    assert int(seconds) >= 2 * Limits().wait_ns / NS_PER_S
    assert "timeout" not in text_of("Caddyfile")


def test_proxies_take_bodies_as_large_as_the_server_does() -> None:
    (nginx,) = re.findall(r"client_max_body_size (\w+);", text_of("nginx.conf"))
    (caddy,) = re.findall(r"max_size (\w+)", text_of("Caddyfile"))
    assert {parse_bytes(nginx), parse_bytes(caddy)} == {body_bytes_max()}


def test_proxies_pass_on_each_piece_under_a_name_that_the_guard_allows() -> None:
    assert "proxy_buffering off;" in text_of("nginx.conf")
    assert "flush_interval -1\n" in text_of("Caddyfile")
    hosts = re.findall(r"(?:proxy_set_header|header_up) Host ([\w.]+)", text_of("nginx.conf") + text_of("Caddyfile"))
    assert len(hosts) == 2
    assert all(may_name(host, "some-machine") for host in hosts)


def test_proxies_pass_on_the_apis_and_nothing_for_operators() -> None:
    (nginx,) = re.findall(r"location ~ (\S+) \{", text_of("nginx.conf"))
    (caddy,) = re.findall(r"^\t\tpath (.+)$", text_of("Caddyfile"), re.MULTILINE)
    paths = {route.path for route in ROUTES}
    apis = {path for path in paths if path == "/" or path.startswith(("/api/", "/v1/"))}
    assert {"/debug/state", "/metrics"} <= paths - apis
    assert {path for path in paths if re.search(nginx, path)} == apis
    assert {path for path in paths if any(fnmatch.fnmatchcase(path, pattern) for pattern in caddy.split())} == apis


# Settings in pages


def test_examples_of_the_configuration_file_can_be_used() -> None:
    texts = re.findall(
        r"^```toml\n(.*?)^```$", (ROOT / "docs/reference/settings.md").read_text(), re.DOTALL | re.MULTILINE
    )
    assert len(texts) == 1
    assert resolve((ConfigFile(Path("example"), texts[0]),)).warnings == ()


def test_a_variable_of_ollamas_counts_or_does_not() -> None:
    read = {setting.fallback.env for setting in SETTINGS if setting.fallback is not None}
    assert read & set(UNREAD) == set()
    assert [name for name in (*read, *UNREAD) if not name.startswith("OLLAMA_")] == []
