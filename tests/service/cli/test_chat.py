"""A conversation at a real terminal, where Ctrl-C is a key."""

import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.service.cli.commands import Terminal, at_a_terminal
from tests.service.cli.fake_server import FakeServer, finished, said, serving

CTRL_C, CTRL_D = "\x03", "\x04"


@pytest.fixture
def server() -> Iterator[FakeServer]:
    with serving() as fake:
        fake.reply("POST /api/chat", finished() | {"done_reason": "load"})
        yield fake


@pytest.fixture
def terminal(server: FakeServer, tmp_path: Path) -> Iterator[Terminal]:
    with at_a_terminal("run", "m", home=tmp_path, ROUNDHOUSE_HOST=server.url) as terminal:
        terminal.read_until(">>> ")
        yield terminal


def turns(server: FakeServer) -> list[list[str]]:
    return [[turn["content"] for turn in body["messages"]] for body in server.bodies("POST /api/chat")]


def test_a_conversation_remembers_what_was_said(server: FakeServer, terminal: Terminal) -> None:
    server.reply("POST /api/chat", said("Hello."), finished())
    server.reply("POST /api/chat", said("Still here."), finished())
    terminal.type("Hi\n")
    terminal.read_until("Hello.")
    terminal.read_until(">>> ")
    terminal.type("And now?\n")
    terminal.read_until("Still here.")
    terminal.read_until(">>> ")
    terminal.type("/bye\n")
    assert terminal.wait() == 0
    assert turns(server) == [[], ["Hi"], ["Hi", "Hello.", "And now?"]]


def test_ctrl_c_stops_the_answer_and_not_the_chat(server: FakeServer, terminal: Terminal) -> None:
    gate = threading.Event()
    server.reply("POST /api/chat", said("One and"), gate, *[said("more " * 10_000)] * 50)
    server.reply("POST /api/chat", said("As I said."), finished())
    terminal.type("Count\n")
    terminal.read_until("One and")
    terminal.type(CTRL_C)
    terminal.read_until("(stopped)")
    gate.set()
    assert server.left.wait(60)
    terminal.read_until(">>> ")
    terminal.type("Again\n")
    terminal.read_until("As I said.")
    terminal.read_until(">>> ")
    terminal.type(CTRL_D)
    assert terminal.wait() == 0
    assert turns(server)[2] == ["Count", "One and", "Again"]


def test_ctrl_c_before_the_first_word_forgets_the_question(server: FakeServer, terminal: Terminal) -> None:
    gate = threading.Event()
    server.reply("POST /api/chat", gate, said("Too late."), finished())
    server.reply("POST /api/chat", said("Yes."), finished())
    terminal.type("Slow\n")
    terminal.read_until("m: ")  # the status line
    terminal.type(CTRL_C)
    terminal.read_until("(stopped)")
    gate.set()
    terminal.read_until(">>> ")
    terminal.type("Quick\n")
    terminal.read_until("Yes.")
    terminal.type(CTRL_D)
    terminal.read_until(">>> ")
    assert terminal.wait() == 0
    assert turns(server)[2] == ["Quick"]


def test_the_second_ctrl_c_at_the_prompt_leaves(terminal: Terminal) -> None:
    terminal.type("half a line")
    terminal.read_until("half a line")
    terminal.type(CTRL_C)
    terminal.read_until("Ctrl-C again, Ctrl-D or /bye leaves.")
    terminal.read_until(">>> ")
    terminal.type(CTRL_C)
    assert terminal.wait() == 130


def test_a_line_between_takes_back_the_first_ctrl_c(server: FakeServer, terminal: Terminal) -> None:
    server.reply("POST /api/chat", said("Hello."), finished())
    terminal.type(CTRL_C)
    terminal.read_until(">>> ")
    terminal.type("Hi\n")
    terminal.read_until("Hello.")
    terminal.read_until(">>> ")
    terminal.type(CTRL_C)
    terminal.read_until("/bye leaves.")
    terminal.read_until(">>> ")
    terminal.type(CTRL_D)
    assert terminal.wait() == 0


def test_a_refused_turn_is_forgotten_and_the_chat_goes_on(server: FakeServer, terminal: Terminal) -> None:
    server.reply("POST /api/chat", {"error": "server busy"}, status=503)
    server.reply("POST /api/chat", said("Now."), finished())
    terminal.type("One\n")
    terminal.read_until("Error: server busy")
    terminal.read_until(">>> ")
    terminal.type("Two\n")
    terminal.read_until("Now.")
    terminal.read_until(">>> ")
    terminal.type(CTRL_D)
    assert terminal.wait() == 0
    assert turns(server)[2] == ["Two"]


def test_commands_begin_with_a_slash(server: FakeServer, terminal: Terminal) -> None:
    server.reply("POST /api/chat", said("Hello."), finished())
    for typed, shown in (("Hi", "Hello."), ("/clear", ">>> "), ("/?", "/bye leaves"), ("/dance", "no command /dance")):
        terminal.type(f"{typed}\n")
        terminal.read_until(shown)
    terminal.type("Hi\n")
    terminal.read_until("Hello.")
    terminal.type("/bye\n")
    assert terminal.wait() == 0
    assert turns(server) == [[], ["Hi"], ["Hi"]]


def test_a_model_cannot_steer_the_terminal(server: FakeServer, terminal: Terminal) -> None:
    server.reply("POST /api/chat", said("\x1b]0;owned\x07\x9b2Jplain\ttext\n"), finished())
    terminal.type("Hi\n")
    assert "]0;owned2Jplain" in terminal.read_until("text").replace("\x1b[K", "")
    assert "\x1b]" not in terminal.screen
    assert "\x9b" not in terminal.screen


def test_the_wait_is_shown_and_wiped_away(server: FakeServer, terminal: Terminal) -> None:
    gate = threading.Event()
    request = {"request": 1, "model": "m:latest", "load": 1, "state": "waiting"}
    loading = {"load": 1, "state": "loading", "progress_ppm": 250_000}
    server.reply("GET /debug/state", {"requests": [request], "runners": [loading]})
    server.reply("POST /api/chat", gate, said("Done."), finished())
    terminal.type("Hi\n")
    terminal.read_until("m: loading, 25 %")
    gate.set()
    assert terminal.read_until("Done.").endswith("\r\x1b[KDone.")
