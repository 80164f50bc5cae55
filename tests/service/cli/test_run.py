"""`run` as a process over a fake server: what goes in, what comes out, and the exit status."""

import json
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from service.store.packaged import DEMO_FILE
from tests.service.cli.commands import environment, roundhouse
from tests.service.cli.fake_server import FakeServer, finished, said, serving


@pytest.fixture
def server() -> Iterator[FakeServer]:
    with serving() as fake:
        yield fake


def run(server: FakeServer, home: Path, *args: str, stdin: str | bytes = b"") -> subprocess.CompletedProcess[str]:
    return roundhouse("run", *args, home=home, stdin=stdin, ROUNDHOUSE_HOST=server.url)


def prompts(server: FakeServer) -> list[list[tuple[str, str]]]:
    return [[(turn["role"], turn["content"]) for turn in body["messages"]] for body in server.bodies("POST /api/chat")]


@pytest.mark.parametrize(
    ("words", "stdin", "prompt"),
    [
        (["How", "are you?"], "", "How are you?"),
        ([], "From a pipe\n", "From a pipe\n"),
        (["Summarise:"], "a text", "Summarise:\n\na text"),
    ],
    ids=["arguments", "standard input", "both"],
)
def test_the_prompt_comes_from_the_arguments_or_standard_input(
    server: FakeServer, tmp_path: Path, words: list[str], stdin: str, prompt: str
) -> None:
    server.reply("POST /api/chat", said("Fine, "), said("thanks."), finished())
    done = run(server, tmp_path, "m", *words, stdin=stdin)
    assert (done.returncode, done.stdout, done.stderr) == (0, "Fine, thanks.\n", "")
    assert prompts(server) == [[("user", prompt)]]


def test_an_empty_prompt_loads_the_model_and_says_nothing(server: FakeServer, tmp_path: Path) -> None:
    server.reply("POST /api/chat", finished() | {"done_reason": "load"})
    done = run(server, tmp_path, "m", "")
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
    assert prompts(server) == [[]]


def test_options_reach_the_server_and_figures_the_terminal(server: FakeServer, tmp_path: Path) -> None:
    last = finished(total_duration=2_500_000_000, load_duration=500_000_000, prompt_eval_count=3, eval_count=8)
    server.reply("POST /api/chat", said("Ahoy"), last | {"eval_duration": 2_000_000_000})
    done = run(server, tmp_path, "m", "Hi", "--keepalive", "-1", "--system", "Be a pirate", "--verbose")
    assert (done.returncode, done.stdout) == (0, "Ahoy\n")
    assert server.bodies("POST /api/chat")[0]["keep_alive"] == -1
    assert prompts(server) == [[("system", "Be a pirate"), ("user", "Hi")]]
    assert done.stderr.splitlines() == [
        "total duration:       2.5s",
        "load duration:        500ms",
        "prompt eval count:    3 token(s)",
        "prompt eval duration: 0s",
        "prompt eval rate:     0.00 tokens/s",
        "eval count:           8 token(s)",
        "eval duration:        2s",
        "eval rate:            4.00 tokens/s",
    ]


def test_an_answer_into_a_pipe_is_exactly_what_was_said(server: FakeServer, tmp_path: Path) -> None:
    server.reply("POST /api/chat", said("\x1b[1mbold\x1b[0m \u00e9\u20ac\U0001f600\n"), finished())
    assert run(server, tmp_path, "m", "Hi").stdout == "\x1b[1mbold\x1b[0m \u00e9\u20ac\U0001f600\n"


@pytest.mark.parametrize(
    ("reply", "status", "words"),
    [
        ([{"error": "server busy"}], 503, "Error: server busy\n"),
        ([said("half"), {"error": "the runner ended"}], 200, "Error: the runner ended\n"),
        ([said("half")], 200, "Error: the answer ended before it was complete; the server's log may say why\n"),
        ([b'{"message":'], 200, "broke off"),
    ],
    ids=["refused", "an error in the answer", "an answer without an end", "half a line"],
)
def test_an_answer_that_fails_is_status_1(
    server: FakeServer, tmp_path: Path, reply: list[object], status: int, words: str
) -> None:
    server.reply("POST /api/chat", *reply, status=status)
    done = run(server, tmp_path, "m", "Hi")
    assert done.returncode == 1
    assert words in done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize(
    ("names", "words"),
    [(["a:latest", "b:1"], "there is: a:latest, b:1. "), ([], "there is: none yet. ")],
)
def test_a_model_that_is_not_there_is_answered_with_those_that_are(
    server: FakeServer, tmp_path: Path, names: list[str], words: str
) -> None:
    listed = [{"name": name, "modified_at": "2020-01-01T00:00:00Z"} for name in names]
    server.replies["GET /api/tags"] = []
    server.reply("GET /api/tags", {"models": listed})
    server.reply("POST /api/chat", {"error": "model 'x' not found"}, status=404)
    done = run(server, tmp_path, "x", "Hi")
    assert done.returncode == 1
    assert f"there is no model 'x' on the server at {server.url}" in done.stderr
    assert words in done.stderr


@pytest.mark.parametrize(
    ("args", "stdin", "words"),
    [
        (["m"], b"", "there is no prompt"),
        (["m"], b"\xff", "not UTF-8"),
        (["m", "Hi", "--format", "json"], b"", "--format is not served by this version of Roundhouse"),
        (["m", "Hi", "--think"], b"", "--think is not served by this version of Roundhouse"),
        (["m", "Hi", "--hidethinking"], b"", "--hidethinking is not served by this version of Roundhouse"),
        (["m", "Hi", "--keepalive", "1d"], b"", "5m or 1h30m"),
        (["m", "Hi", "--colour"], b"", "No such option"),
        ([], b"", "Missing argument 'MODEL'"),
    ],
)
def test_wrong_use_is_status_2(server: FakeServer, tmp_path: Path, args: list[str], stdin: bytes, words: str) -> None:
    done = run(server, tmp_path, *args, stdin=stdin)
    assert done.returncode == 2
    assert words in done.stderr
    assert server.bodies("POST /api/chat") == []


def test_a_server_that_was_named_is_not_replaced(tmp_path: Path) -> None:
    with serving("some other program") as other:
        done = roundhouse("run", "m", "Hi", "--host", other.url, home=tmp_path)
    assert done.returncode == 3
    assert "another program answers" in done.stderr
    done = roundhouse("run", "m", "Hi", "--host", other.url, home=tmp_path)
    assert done.returncode == 3
    assert "nobody answers" in done.stderr


def start(server: FakeServer, home: Path, *args: str, **streams: int) -> subprocess.Popen[bytes]:
    command = [sys.executable, "-c", "from service.cli.main import main; main()", "run", *args]
    return subprocess.Popen(command, env=environment(home, ROUNDHOUSE_HOST=server.url), **streams)


def test_ctrl_c_ends_an_answer_with_status_130_and_leaves_the_server(server: FakeServer, tmp_path: Path) -> None:
    gate = threading.Event()
    server.reply("POST /api/chat", said("One\n"), gate, *[said("more " * 10_000)] * 50)
    streams = {"stdin": subprocess.DEVNULL, "stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
    with start(server, tmp_path, "m", "Hi", **streams) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == b"One\n"
        process.send_signal(signal.SIGINT)
        _, errors = process.communicate(timeout=60)
        gate.set()
        assert (process.returncode, errors) == (130, b"")
    assert server.left.wait(60)


def test_a_reader_that_leaves_ends_the_answer_without_a_traceback(server: FakeServer, tmp_path: Path) -> None:
    gate = threading.Event()
    server.reply("POST /api/chat", said("One\n"), gate, *[said("more " * 10_000)] * 50, finished())
    streams = {"stdin": subprocess.DEVNULL, "stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
    with start(server, tmp_path, "m", "Hi", **streams) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        assert process.stdout.readline() == b"One\n"
        process.stdout.close()
        gate.set()
        assert process.stderr.read() == b""
        assert process.wait(60) == 1


def test_a_standard_input_that_never_ends_is_mentioned(server: FakeServer, tmp_path: Path) -> None:
    server.reply("POST /api/chat", said("Fine."), finished())
    streams = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
    with start(server, tmp_path, "m", "Hi", **streams) as process:
        assert process.stderr is not None
        assert b"reading the rest of the prompt" in process.stderr.readline()
        output, _ = process.communicate(b"", timeout=60)
        assert (process.returncode, output) == (0, b"Fine.\n")


def test_a_closed_standard_input_is_an_empty_one(server: FakeServer, tmp_path: Path) -> None:
    server.reply("POST /api/chat", said("Fine."), finished())
    script = """exec "$0" -c 'from service.cli.main import main; main()' run m Hi <&-"""
    done = subprocess.run(
        ["/bin/sh", "-c", script, sys.executable],
        env=environment(tmp_path, ROUNDHOUSE_HOST=server.url),
        capture_output=True,
        timeout=60,
        check=False,
    )
    assert (done.returncode, done.stdout) == (0, b"Fine.\n")


def test_the_demo_is_called_what_it_is(server: FakeServer, tmp_path: Path) -> None:
    listed = {"name": "demo:latest", "modified_at": "2020-01-01T00:00:00Z", "size": DEMO_FILE.stat().st_size}
    server.replies["GET /api/tags"] = []
    server.reply("GET /api/tags", {"models": [listed]})
    server.reply("GET /api/tags", {"models": [listed | {"size": 5}]})
    server.reply("POST /api/chat", said("Fine."), finished())
    assert "scripted test model, not a language model" in run(server, tmp_path, "demo", "Hi").stderr
    assert run(server, tmp_path, "demo", "Hi").stderr == ""


def test_the_body_is_json_with_every_character(server: FakeServer, tmp_path: Path) -> None:
    server.reply("POST /api/chat", said("Fine."), finished())
    text = 'quotes " and \\ and \u2028 and \U0001f600'
    run(server, tmp_path, "m", text)
    assert prompts(server) == [[("user", text)]]
    assert json.dumps(prompts(server))


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="the system has no device that is always full")
def test_an_answer_that_cannot_be_written_is_one_sentence(server: FakeServer, tmp_path: Path) -> None:
    server.reply("POST /api/chat", said("Fine."), finished())
    command = [sys.executable, "-c", "from service.cli.main import main; main()", "run", "m", "hi"]
    with Path("/dev/full").open("wb") as full:
        done = subprocess.run(
            command,
            stdin=subprocess.DEVNULL,
            stdout=full,
            stderr=subprocess.PIPE,
            env=environment(tmp_path, ROUNDHOUSE_HOST=server.url),
            text=True,
            check=False,
        )
    assert (done.returncode, done.stderr.startswith("Error: the answer cannot be written")) == (1, True)
