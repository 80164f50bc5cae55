"""The configuration file as a source: what it may say, and how it is told what is wrong with it."""

import os
from pathlib import Path

import pytest

from service.cli.configuration import FILE_BYTES_MAX
from service.cli.listening import resolve_place
from service.cli.settings import Resolved, resolve, sources
from statemachines.errors import ConfigError
from statemachines.units import FOREVER_NS, NS_PER_S


def resolved(path: Path, text: str | bytes, flags: dict[str, object] | None = None, **environ: str) -> Resolved:
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return resolve(sources({"config": str(path), **(flags or {})}, environ))


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "any.toml"


def refusal(path: Path, text: str | bytes) -> str:
    with pytest.raises(ConfigError) as caught:
        resolved(path, text)
    return str(caught.value)


def test_default_file_variable_and_flag_in_that_order(path: Path) -> None:
    text = "queue_len = 10\nwait_s = 20\n# a comment\nload_grace_s = 0.25\n"
    result = resolved(path, text, {"queue_len": "30"}, ROUNDHOUSE_QUEUE_LEN="31", ROUNDHOUSE_WAIT_S="32")
    limits = result.settings.limits
    assert (limits.queue_len_max, limits.wait_ns, limits.load_grace_ns) == (30, 32 * NS_PER_S, NS_PER_S // 4)
    assert [str(result.origins[name]) for name in ("queue_len", "wait_s", "load_grace_s", "drain_s")] == [
        "--queue-len",
        "ROUNDHOUSE_WAIT_S",
        f"load_grace_s in {path}, line 4",
        "the default",
    ]


def test_ollamas_variable_outranks_the_file_and_that_is_said(path: Path) -> None:
    result = resolved(path, 'keep_alive = "1h"\n', OLLAMA_KEEP_ALIVE="2h")
    assert result.settings.limits.keep_alive_default_ns == 7200 * NS_PER_S
    assert result.warnings == (
        f"OLLAMA_KEEP_ALIVE outranks keep_alive in {path}, line 1; unset it, or set ROUNDHOUSE_KEEP_ALIVE",
    )
    assert resolved(path, 'keep_alive = "1h"\n', OLLAMA_KEEP_ALIVE="2h", ROUNDHOUSE_KEEP_ALIVE="3h").warnings == ()


def test_every_type_of_value_has_its_toml_form(path: Path) -> None:
    settings = resolved(
        path,
        """
        host = "127.0.0.1:8080"
        demo = true
        origins = ["https://a.example", "https://*.b.example"]
        models = "~/ggufs"
        body_max = "0.1GB"
        facts_memory = 1000
        host_budget = "none"
        context_length = 2048
        keep_alive = -1
        keep_alive_max = "90m"
        wait_s = 0.5
        compatible_version = "0.13.0"
        log_format = "json"
        """,
    ).settings
    assert (settings.host, settings.port, settings.demo) == ("127.0.0.1", 8080, True)
    assert settings.origins == ("https://a.example", "https://*.b.example")
    assert settings.models == Path("~/ggufs").expanduser()
    assert (settings.body_bytes_max, settings.facts_memory_bytes) == (100_000_000, 1000)
    assert (settings.limits.host_budget_bytes, settings.context_length) == (None, 2048)
    assert settings.limits.keep_alive_default_ns == FOREVER_NS
    assert settings.limits.keep_alive_max_ns == 5400 * NS_PER_S
    assert settings.limits.wait_ns == NS_PER_S // 2
    assert (settings.compatible_version, settings.log_format) == ("0.13.0", "json")


@pytest.mark.parametrize(
    ("line", "given", "allowed"),
    [
        ('queue_len = "64"', '"64"', "a whole number, 1 or more, without quotes"),
        ("queue_len = 0", "0", "a whole number, 1 or more"),
        ("queue_len = 1.5", "1.5", "a whole number, 1 or more"),
        ("queue_len = true", "true", "a whole number, 1 or more"),
        ("wait_s = true", "true", "a number of seconds, 0 or more"),
        ("wait_s = nan", "nan", "a number of seconds, 0 or more"),
        ("wait_s = 2020-01-01", "2020-01-01", "a number of seconds, 0 or more"),
        ('demo = "yes"', '"yes"', "true or false, without quotes"),
        ("demo = 1", "1", "true or false"),
        ("models = 7", "7", "a folder, in quotes"),
        ('models = ""', '""', "a folder, in quotes"),
        (
            'origins = "https://a.example"',
            '"https://a.example"',
            'a list of strings such as ["a", "b"], without quotes',
        ),
        ('origins = ["a", 1]', '["a", 1]', 'a list of strings such as ["a", "b"]'),
        ("origins = ['a,b']", '["a,b"]', 'a list of strings such as ["a", "b"]'),
        ("facts_memory = 1.5", "1.5", 'a number of bytes, or in quotes "64MiB" or "1.5GB"'),
        ('context_length = "big"', '"big"', "a whole number, 1 or more, or 'auto'"),
        ("host_budget = true", "true", 'a number of bytes, or in quotes "64MiB" or "1.5GB", or "none"'),
        ('log_level = "loud"', '"loud"', 'one of "debug", "info", "warning", "error"'),
        ("keep_alive = {}", "a table", 'a number of seconds, 0 (unload when idle), -1 (forever), or in quotes "90s"'),
        (f'log_format = "{"x" * 99}"', f'"{"x" * 59}...', 'one of "auto", "human", "json"'),
    ],
)
def test_a_wrong_value_is_named_with_what_was_given_and_what_is_allowed(
    path: Path, line: str, given: str, allowed: str
) -> None:
    name = line.split(" ")[0]
    expected = f"{name} = {given} in {path}, line 2, cannot be used: it must be {allowed}"
    assert refusal(path, f"# first\n{line}\n").startswith(expected)


@pytest.mark.parametrize(
    ("text", "line", "nearest"),
    [
        ("quue_len = 5", 1, "queue_len"),
        ("\n'queue-len' = 5", 2, "queue_len"),
        ('"QUEUE_LEN" = 5', 1, "queue_len"),
        ("demo = true\n  shutdown_drain = 5", 2, "shutdown_drain_s"),
        ("max_queue = 5", 1, "queue_len"),
        ("max_loaded_models = 5", 1, "runners_max"),
        ("keepalive = 5", 1, "keep_alive"),
        ("log = 'debug'", 1, "log_level"),
    ],
)
def test_an_unknown_key_is_refused_with_its_line_and_the_nearest_one(
    path: Path, text: str, line: int, nearest: str
) -> None:
    words = refusal(path, text)
    assert f" in {path}, line {line}, is no setting; the nearest one is {nearest};" in words
    assert words.endswith("`roundhouse config --example` shows them all")


@pytest.mark.parametrize("key", ["a", "b", "xyz", "temperature"])
def test_an_unknown_key_that_is_like_none_is_refused_without_a_guess(path: Path, key: str) -> None:
    expected = f"{key} in {path}, line 1, is no setting; `roundhouse config --example` shows them all"
    assert refusal(path, f"{key} = 5") == expected


def test_all_unknown_keys_are_named_at_once(path: Path) -> None:
    words = refusal(path, "quue_len = 5\nwait_s = 3\nports = 1\n")
    assert f"quue_len in {path}, line 1, is no setting; the nearest one is queue_len; ports in {path}, line 3" in words


@pytest.mark.parametrize("text", ["[queue]\nlen = 5", "queue.len = 5", "[[queue]]", "[ queue . more ]"])
def test_sections_are_refused_as_what_they_are(path: Path, text: str) -> None:
    assert refusal(path, text).startswith(f"queue in {path}, line 1, is a table; settings stand in the file without")


def test_a_key_that_is_spelled_in_a_strange_way_has_no_line(path: Path) -> None:
    assert refusal(path, '"quue\\u005flen" = 5').startswith(f"quue_len in {path}, is no setting")


def test_a_key_may_hold_anything_and_the_sentence_stays_one_line(path: Path) -> None:
    assert refusal(path, '"a\\nb" = 5').startswith(f'"a\\nb" in {path}, is no setting')


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("keep_alive = 5m", "(at line 1, column 15)"),
        ("wait_s = 1\nwait_s = 2\n", "line 2"),
        ("wait_s", "at end of document"),
        ("a = " + "[" * 5_000, "values within values"),
        (b"\n\xff\n", "is not UTF-8 in line 2"),
        (b"#" * (FILE_BYTES_MAX + 1), "is larger than 256 KiB"),
    ],
    ids=["text without quotes", "twice", "no value", "deep", "not UTF-8", "large"],
)
def test_a_file_that_is_no_toml_is_refused_with_the_place(path: Path, text: str | bytes, words: str) -> None:
    message = refusal(path, text)
    assert message.startswith(f"the configuration file {path} ")
    assert words in message


def test_a_file_from_another_system_is_read(path: Path) -> None:
    assert resolved(path, b"\xef\xbb\xbfqueue_len = 5\r\nwait_s = 6\r\n").settings.limits.queue_len_max == 5


def test_a_file_that_somebody_names_must_be_there(tmp_path: Path) -> None:
    missing, folder = tmp_path / "missing.toml", tmp_path
    with pytest.raises(ConfigError, match=r"missing.toml, which --config names, cannot be read \(No such file"):
        sources({"config": str(missing)}, {})
    with pytest.raises(ConfigError, match=r"which ROUNDHOUSE_CONFIG names, cannot be read \(Is a directory\)"):
        sources({}, {"ROUNDHOUSE_CONFIG": str(folder)})


def test_the_usual_file_may_be_absent_but_not_unusable(tmp_path: Path) -> None:
    environ = {"ROUNDHOUSE_HOME": str(tmp_path)}
    assert resolve(sources({}, environ)).file is None
    (tmp_path / "config.toml").mkdir()
    with pytest.raises(ConfigError, match=r"config.toml cannot be read \(Is a directory\)"):
        sources({}, environ)


def test_the_flag_outranks_the_variable_which_outranks_the_usual_file(tmp_path: Path) -> None:
    for number, name in enumerate(("config.toml", "variable.toml", "flag.toml"), start=1):
        (tmp_path / name).write_text(f"queue_len = {number}\n")
    environ = {"ROUNDHOUSE_HOME": str(tmp_path)}
    further = {**environ, "ROUNDHOUSE_CONFIG": str(tmp_path / "variable.toml")}
    found = [
        resolve(sources({}, environ)),
        resolve(sources({}, further)),
        resolve(sources({"config": str(tmp_path / "flag.toml")}, further)),
    ]
    assert [item.settings.limits.queue_len_max for item in found] == [1, 2, 3]
    assert [item.file for item in found if item.file] == [
        tmp_path / name for name in ("config.toml", "variable.toml", "flag.toml")
    ]


def test_the_null_device_is_an_empty_file(tmp_path: Path) -> None:
    (tmp_path / "config.toml").write_text("no TOML at all")
    assert resolve(sources({"config": os.devnull}, {"ROUNDHOUSE_HOME": str(tmp_path)})).warnings == ()


def test_a_file_that_everybody_can_change_is_a_warning(path: Path) -> None:
    path.touch()
    path.chmod(0o666)
    (warning,) = resolved(path, "queue_len = 5\n").warnings
    assert warning.startswith(f"{path} can be changed by every user of this machine")
    assert warning.endswith(f"chmod o-w {path}")
    path.chmod(0o664)
    assert resolved(path, "queue_len = 5\n").warnings == ()


def test_one_folder_holds_everything_unless_a_setting_says_otherwise(tmp_path: Path) -> None:
    environ = {"ROUNDHOUSE_HOME": str(tmp_path)}
    settings = resolve(sources({}, environ)).settings
    assert (settings.models, settings.state) == (tmp_path / "models", tmp_path / "state")
    (tmp_path / "config.toml").write_text('models = "/srv/models"\n')
    result = resolve(sources({"state": "/srv/state"}, environ))
    assert (result.settings.models, result.settings.state) == (Path("/srv/models"), Path("/srv/state"))
    assert result.warnings == ()


def test_commands_that_talk_to_a_server_find_it_through_the_file(path: Path) -> None:
    path.write_text("port = 4711\n")
    place = resolve_place(sources({}, {"ROUNDHOUSE_CONFIG": str(path)}))
    assert (place.port, str(place.port_origin)) == (4711, f"port in {path}, line 1")
