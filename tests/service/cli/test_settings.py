import os
from pathlib import Path

import msgspec
import pytest

from service.cli.declarations import SETTINGS
from service.cli.folders import make_folders
from service.cli.listening import resolve_place
from service.cli.setting import Setting
from service.cli.settings import Resolved, resolve, sources
from service.config import Settings
from statemachines.errors import ConfigError
from statemachines.limits import Limits
from statemachines.units import FOREVER_NS, NS_PER_S


def resolved(flags: dict[str, object] | None = None, **environ: str) -> Resolved:
    return resolve(sources(flags or {}, {"ROUNDHOUSE_CONFIG": os.devnull, **environ}))


def settings(flags: dict[str, object] | None = None, **environ: str) -> Settings:
    return resolved(flags, **environ).settings


def test_every_field_of_settings_and_limits_has_exactly_one_declaration() -> None:
    own = [info.name for info in msgspec.structs.fields(Settings) if info.name != "limits"]
    limits = [f"limits.{info.name}" for info in msgspec.structs.fields(Limits)]
    declared = [setting.field for setting in SETTINGS if setting.field]
    assert sorted(declared) == sorted(own + limits)
    assert len({setting.name for setting in SETTINGS}) == len(SETTINGS)


@pytest.mark.parametrize(
    ("name", "default"),
    [
        ("queue_len", 512),
        ("wait_s", 600),
        ("load_stall_s", 300),
        ("load_grace_s", 30),
        ("loads_parallel", 2),
        ("plans_per_step", 8),
        ("runners_max", 3),
        ("stop_grace_s", 5),
        ("kill_grace_s", 5),
        ("drain_s", 30),
        ("shutdown_drain_s", 10),
        ("cancel_ack_s", 10),
        ("wedge_s", 60),
        ("client_stall_s", 60),
        ("journal_ring", 10_000),
        ("dead_kept", 100),
        ("body_max", "64MiB"),
    ],
)
def test_limits_have_the_names_and_defaults_of_the_design(name: str, default: object) -> None:
    setting = next(setting for setting in SETTINGS if setting.name == name)
    assert setting.kind.plain(setting.default()) == default


def test_without_any_source_the_defaults_hold() -> None:
    result = settings()
    assert (result.host, result.port) == ("127.0.0.1", 11434)
    assert result.limits == msgspec.structs.replace(Limits(), cpu_threads=result.limits.cpu_threads)
    assert result.limits.cpu_threads >= 1
    assert result.models.parts[-2:] == ("roundhouse", "models")


@pytest.mark.parametrize("setting", SETTINGS, ids=lambda setting: setting.name)
def test_a_default_written_out_means_itself(setting: Setting) -> None:
    default = setting.default()
    assert setting.name == "host" or setting.kind.parse(setting.kind.show(default)) == default


def test_of_two_variables_for_one_setting_the_one_that_does_not_count_is_named() -> None:
    result = resolved({}, ROUNDHOUSE_QUEUE_LEN="20", ROUNDHOUSE_MAX_QUEUE="10")
    assert result.settings.limits.queue_len_max == 20
    assert list(result.warnings) == [
        "ROUNDHOUSE_MAX_QUEUE is ignored: it is the same setting as ROUNDHOUSE_QUEUE_LEN, which is set too"
    ]


def test_flags_beat_our_variables_which_beat_ollamas() -> None:
    environ = {"OLLAMA_MAX_QUEUE": "10", "ROUNDHOUSE_QUEUE_LEN": "20"}
    assert settings(OLLAMA_MAX_QUEUE="10").limits.queue_len_max == 10
    assert settings(**environ).limits.queue_len_max == 20
    result = resolved({"queue_len": "30"}, **environ)
    assert result.settings.limits.queue_len_max == 30
    assert str(result.origins["queue_len"]) == "--queue-len"


@pytest.mark.parametrize("name", ["MAX_QUEUE", "MAX_LOADED_MODELS", "CONTEXT_LENGTH", "KEEP_ALIVE"])
def test_ollamas_word_for_a_setting_works_behind_our_prefix_too(name: str) -> None:
    assert settings(**{f"ROUNDHOUSE_{name}": "7"}) == settings(**{f"OLLAMA_{name}": "7"}) != settings()


@pytest.mark.parametrize("text", ["", "   ", '""'])
def test_an_empty_variable_is_not_set(text: str) -> None:
    assert settings(ROUNDHOUSE_QUEUE_LEN=text, OLLAMA_HOST=text) == settings()


def test_spaces_and_quotes_around_a_variable_do_not_count() -> None:
    assert settings(OLLAMA_KEEP_ALIVE=' "10m" ').limits.keep_alive_default_ns == 600 * NS_PER_S


@pytest.mark.parametrize(
    ("name", "text", "words"),
    [
        ("ROUNDHOUSE_QUEUE_LEN", "0", "a whole number, 1 or more"),
        ("ROUNDHOUSE_QUEUE_LEN", "1_000", "a whole number"),
        ("ROUNDHOUSE_MAX_QUEUE", "many", "a whole number"),
        ("ROUNDHOUSE_WAIT_S", "nan", "a number of seconds"),
        ("ROUNDHOUSE_WAIT_S", "inf", "a number of seconds"),
        ("ROUNDHOUSE_WAIT_S", "-1", "0 or more"),
        ("ROUNDHOUSE_SAMPLE_INTERVAL_S", "0", "0.01 or more"),
        ("ROUNDHOUSE_HEAD_S", "0", "0.001 or more"),
        ("ROUNDHOUSE_BODY_MAX", "0", "1024 or more"),
        ("ROUNDHOUSE_ORIGINS", "\udcff", "a list"),
        ("ROUNDHOUSE_KEEP_ALIVE", "1d", "5m or 1h30m"),
        ("ROUNDHOUSE_HOST", "host:99999", "65535"),
        ("ROUNDHOUSE_PORT", "-1", "0 to 65535"),
        ("ROUNDHOUSE_BODY_MAX", "64 parsecs", "64MiB"),
        ("ROUNDHOUSE_BODY_MAX", "9" * 400 + ".0TB", "64MiB"),
        ("ROUNDHOUSE_HOST_BUDGET", "99999999TiB", "64MiB"),
        ("ROUNDHOUSE_ALLOW_REMOTE", "maybe", "1, true"),
        ("ROUNDHOUSE_LOG_FORMAT", "xml", "auto, human, json"),
        ("ROUNDHOUSE_CONTEXT_LENGTH", "big", "'auto'"),
        ("ROUNDHOUSE_COMPATIBLE_VERSION", "new", "0.12.6"),
    ],
)
def test_our_own_variable_with_a_wrong_value_is_refused_by_name(name: str, text: str, words: str) -> None:
    with pytest.raises(ConfigError) as caught:
        settings(**{name: text})
    assert str(caught.value).startswith(f"{name}={text!r} cannot be used: it must be ")
    assert words in str(caught.value)


def test_a_wrong_flag_is_refused_in_the_same_words() -> None:
    with pytest.raises(ConfigError, match=r"^--wait-s='soon' cannot be used: it must be a number of seconds"):
        settings({"wait_s": "soon"})


@pytest.mark.parametrize(
    ("name", "text"),
    [("MAX_QUEUE", "0x10"), ("MAX_QUEUE", "-1"), ("MAX_QUEUE", "0"), ("KEEP_ALIVE", "1d"), ("HOST", "ftp://x")],
)
def test_ollamas_variable_with_a_wrong_value_is_ignored_with_one_warning(name: str, text: str) -> None:
    result = resolved(**{f"OLLAMA_{name}": text})
    assert result.settings == settings()
    assert [warning for warning in result.warnings if warning.startswith(f"OLLAMA_{name}={text!r} is ignored")]
    assert len(result.warnings) == 1


def test_ollamas_zero_means_choose_for_me() -> None:
    result = resolved(OLLAMA_MAX_LOADED_MODELS="0", OLLAMA_CONTEXT_LENGTH="0")
    assert result.settings == settings()
    assert result.warnings == ()


@pytest.mark.parametrize(
    ("text", "expected_ns"),
    [("-1", FOREVER_NS), ("0", 0), ("5", 5 * NS_PER_S), ("1h", 3600 * NS_PER_S), ("-5m", FOREVER_NS)],
)
def test_the_default_keep_alive_has_ollamas_forms(text: str, expected_ns: int) -> None:
    assert settings(OLLAMA_KEEP_ALIVE=text).limits.keep_alive_default_ns == expected_ns
    assert settings(ROUNDHOUSE_KEEP_ALIVE=text).limits.keep_alive_default_ns == expected_ns


@pytest.mark.parametrize(
    ("text", "expected_bytes"),
    [("1000", 1000), ("64MiB", 64 << 20), ("1.5GB", 1_500_000_000), ("2g", 2 << 30), ("1 kib", 1024), ("0", 0)],
)
def test_bytes_have_units(text: str, expected_bytes: int) -> None:
    assert settings(ROUNDHOUSE_HOST_OVERHEAD=text).limits.host_overhead_bytes == expected_bytes


def test_more_seconds_than_can_be_counted_are_for_ever() -> None:
    assert settings(ROUNDHOUSE_WAIT_S="1e300").limits.wait_ns == FOREVER_NS


def test_an_empty_folder_is_none() -> None:
    with pytest.raises(ConfigError, match="it must be a folder"):
        settings({"models": ""})


@pytest.mark.parametrize("text", ["/a\0b", "~there-is-no-such-user/models", os.fsdecode(b"/a\xff")])
def test_a_folder_that_can_never_be_is_refused_by_name(text: str) -> None:
    with pytest.raises(ConfigError, match=r"--state=.* cannot be used: it must be a folder"):
        settings({"state": text})


def test_ollamas_words_for_limits_and_levels_mean_what_they_mean_there() -> None:
    found = settings(OLLAMA_LOAD_TIMEOUT="2m", OLLAMA_DEBUG="1", OLLAMA_ORIGINS="https://a.example, app://*")
    assert found.limits.load_stall_ns == 120 * NS_PER_S
    assert found.log_level == "debug"
    assert found.origins == ("https://a.example", "app://*")
    assert [settings(OLLAMA_LOAD_TIMEOUT=text).limits.load_stall_ns for text in ("0", "-1")] == [FOREVER_NS] * 2
    levels = {text: settings(OLLAMA_DEBUG=text).log_level for text in ("-2", "-1", "0", "False", "2", "yes")}
    assert levels == {"-2": "error", "-1": "warning", "0": "info", "False": "info", "2": "debug", "yes": "debug"}


def test_seconds_may_be_fractions_and_become_nanoseconds() -> None:
    assert settings(ROUNDHOUSE_LOAD_GRACE_S="0.25").limits.load_grace_ns == 250_000_000
    assert settings(ROUNDHOUSE_LOAD_GRACE_S="0").limits.load_grace_ns == 0


def test_an_unknown_variable_of_ours_is_named_with_the_one_that_was_meant() -> None:
    assert resolved(ROUNDHOUSE_QUEUE_LENGTH="5").warnings == (
        "ROUNDHOUSE_QUEUE_LENGTH is no setting of Roundhouse; did you mean ROUNDHOUSE_QUEUE_LEN?",
    )


def test_an_unknown_variable_that_is_like_none_is_named_without_a_guess() -> None:
    assert resolved(ROUNDHOUSE_Q="5").warnings == (
        "ROUNDHOUSE_Q is no setting of Roundhouse; `serve --help` lists what there is",
    )


def test_ollamas_variables_that_are_not_read_are_named() -> None:
    (warning,) = resolved(OLLAMA_NUM_PARALLEL="4", OLLAMA_FOO="1", OLLAMA_HOST="127.0.0.1").warnings
    assert warning == (
        "set, but not read by Roundhouse: OLLAMA_FOO, OLLAMA_NUM_PARALLEL (a runner answers one request at a time in "
        "this version)"
    )


@pytest.mark.parametrize(
    ("flags", "environ", "expected"),
    [
        ({}, {}, ("127.0.0.1", 11434, "the default", "the default")),
        ({}, {"OLLAMA_HOST": "127.0.0.1:5"}, ("127.0.0.1", 5, "OLLAMA_HOST", "OLLAMA_HOST")),
        (
            {},
            {"ROUNDHOUSE_HOST": "::1", "OLLAMA_HOST": "127.0.0.1:5"},
            ("::1", 11434, "ROUNDHOUSE_HOST", "the default"),
        ),
        ({"host": "127.0.0.1:6"}, {"ROUNDHOUSE_PORT": "7"}, ("127.0.0.1", 6, "--host", "--host")),
        ({"host": "127.0.0.1"}, {"ROUNDHOUSE_PORT": "7"}, ("127.0.0.1", 7, "--host", "ROUNDHOUSE_PORT")),
        ({"port": "0"}, {"ROUNDHOUSE_HOST": "127.0.0.1:6"}, ("127.0.0.1", 0, "ROUNDHOUSE_HOST", "--port")),
        ({"host": "127.0.0.1:6", "port": "8"}, {}, ("127.0.0.1", 8, "--host", "--port")),
        ({"port": "9"}, {}, ("127.0.0.1", 9, "the default", "--port")),
    ],
)
def test_the_port_comes_from_the_strongest_source_that_names_one(
    flags: dict[str, object], environ: dict[str, str], expected: tuple[str, int, str, str]
) -> None:
    place = resolve_place(sources(flags, {"ROUNDHOUSE_CONFIG": os.devnull, **environ}))
    assert (place.address.host, place.port, str(place.origin), str(place.port_origin)) == expected


@pytest.mark.parametrize("host", ["0.0.0.0", "[::]:8080", ":11434", "192.168.1.5", "example.org"])
def test_listening_where_others_can_reach_needs_written_consent(host: str) -> None:
    with pytest.raises(ConfigError) as caught:
        settings(OLLAMA_HOST=host)
    message = str(caught.value)
    assert message.startswith("OLLAMA_HOST asks to listen on ")
    assert "no password and no encryption" in message
    assert "--allow-remote" in message
    assert settings({"allow_remote": True}, OLLAMA_HOST=host).allow_remote


def test_https_is_refused_because_it_would_be_plain_http() -> None:
    with pytest.raises(ConfigError, match="plain HTTP"):
        settings({"host": "https://127.0.0.1"})


def test_more_than_one_slot_is_refused_by_name() -> None:
    assert settings(ROUNDHOUSE_SLOTS="1") == settings()
    with pytest.raises(ConfigError, match=r"^slots: ROUNDHOUSE_SLOTS asks for 2 "):
        settings(ROUNDHOUSE_SLOTS="2")


def test_bodies_that_could_never_find_room_are_refused_with_both_settings() -> None:
    assert settings(ROUNDHOUSE_BODIES_MAX="1MiB", ROUNDHOUSE_BODY_MAX="1MiB").bodies_bytes_max == 1 << 20
    with pytest.raises(ConfigError, match=r"^bodies_max: ROUNDHOUSE_BODIES_MAX gives .* \(1\.0 KiB\) .* the default\)"):
        settings(ROUNDHOUSE_BODIES_MAX="1KiB")


@pytest.mark.parametrize("address", ["0.0.0.0:9000", "[::]:9000", "192.0.2.7:9000"])
def test_an_address_of_operators_that_others_reach_is_refused_before_it_is_bound(address: str) -> None:
    with pytest.raises(ConfigError, match=r"^admin_listen: .* can be reached from other machines"):
        settings(ROUNDHOUSE_ADMIN_LISTEN=address)


def test_a_home_is_found_and_a_relative_folder_becomes_absolute() -> None:
    assert settings({"models": "~/ggufs"}).models == Path("~/ggufs").expanduser()
    assert settings({"models": "ggufs"}).models == Path.cwd() / "ggufs"


def test_the_folders_are_made_on_the_first_start_and_kept_on_the_second(tmp_path: Path) -> None:
    chosen = settings({"models": str(tmp_path / "a/models"), "state": str(tmp_path / "state")})
    assert make_folders(chosen) == (chosen.models, chosen.state)
    (chosen.models / "kept").touch()
    assert make_folders(chosen) == ()
    assert os.listdir(chosen.models) == ["kept"]
    assert chosen.state.is_dir()


def test_a_folder_that_cannot_be_made_is_named_with_its_flag(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(ConfigError, match=r"the models folder .*/file/models cannot be made .*--models"):
        make_folders(settings({"models": str(tmp_path / "file/models")}))


def test_a_state_folder_that_cannot_be_made_is_no_reason_not_to_start(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    chosen = settings({"models": str(tmp_path / "models"), "state": str(tmp_path / "file/state")})
    assert make_folders(chosen) == (chosen.models,)


@pytest.mark.parametrize(
    ("text", "means"),
    [
        ("auto", None),
        ("unix:/run/roundhouse/admin.sock", "unix:/run/roundhouse/admin.sock"),
        ("127.0.0.1:9400", "127.0.0.1:9400"),
        ("localhost:0", "localhost:0"),
        ("[::1]:9400", "[::1]:9400"),
    ],
)
def test_operators_are_answered_on_a_socket_or_a_port_of_this_machine(text: str, means: str | None) -> None:
    assert settings({"admin_listen": text}).admin_listen == means


@pytest.mark.parametrize(
    "text", ["unix:relative", "unix:", ":9400", "127.0.0.1", "http://127.0.0.1:9400", "a:b", "a b:1", "unix:/a\0b"]
)
def test_what_is_no_address_of_operators_is_refused(text: str) -> None:
    with pytest.raises(ConfigError, match="it must be unix:/PATH, or HOST:PORT of this machine, or 'auto'"):
        settings({"admin_listen": text})
