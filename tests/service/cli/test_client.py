import threading
from collections.abc import Iterator
from datetime import UTC, datetime

import pytest

from service.cli.client import ServerRefused, Turn, connect
from service.cli.exits import CommandFailed, NoServer, leaf_errors
from tests.service.cli.fake_server import FakeServer, finished, line, said, serving


@pytest.fixture
def server() -> Iterator[FakeServer]:
    with serving() as fake:
        yield fake


async def ask(server: FakeServer) -> str:
    with leaf_errors():
        async with (
            connect(server.url) as client,
            client.chat({"model": "m", "messages": [Turn("user", "?")]}) as pieces,
        ):
            return "".join([piece.message.content async for piece in pieces])
    raise AssertionError


async def test_an_answer_comes_in_pieces(server: FakeServer) -> None:
    server.reply("POST /api/chat", said("one "), said("two"), finished())
    assert await ask(server) == "one two"
    assert server.bodies("POST /api/chat") == [{"model": "m", "messages": [{"role": "user", "content": "?"}]}]


async def test_line_separators_inside_a_text_do_not_end_a_line(server: FakeServer) -> None:
    text = "a\u2028b\u2029c\x85d"
    server.reply("POST /api/chat", said(text), finished())
    assert await ask(server) == text


async def test_a_piece_may_come_in_pieces_itself(server: FakeServer) -> None:
    whole = b'{"message":{"role":"assistant","content":"\xc3\xa9"},"done":false}\n'
    server.reply("POST /api/chat", *[whole[i : i + 1] for i in range(len(whole))], finished())
    assert await ask(server) == "\u00e9"


async def test_the_last_line_needs_no_end(server: FakeServer) -> None:
    server.reply("POST /api/chat", line(said("all")).rstrip())
    assert await ask(server) == "all"


async def test_a_refusal_carries_the_servers_words_and_status(server: FakeServer) -> None:
    server.reply("POST /api/chat", {"error": "server busy"}, status=503)
    with pytest.raises(ServerRefused, match=r"^server busy$") as caught:
        await ask(server)
    assert caught.value.status == 503


async def test_an_error_in_the_middle_of_an_answer_is_an_error(server: FakeServer) -> None:
    server.reply("POST /api/chat", said("one "), {"error": "the runner ended"})
    with pytest.raises(ServerRefused, match="the runner ended"):
        await ask(server)


async def test_a_refusal_without_words_names_its_status(server: FakeServer) -> None:
    server.reply("POST /api/chat", b"<html>", status=502)
    with pytest.raises(ServerRefused, match="502"):
        await ask(server)


@pytest.mark.parametrize("line", [b"<html>\n", b'{"error":"\xff"}\n', b"[" * 100_000 + b"\n"])
async def test_an_answer_that_is_no_json_is_a_broken_connection(server: FakeServer, line: bytes) -> None:
    server.reply("POST /api/chat", line)
    with pytest.raises(CommandFailed, match="broke off"):
        await ask(server)


@pytest.mark.parametrize("table", [{"models": "none"}, b'{"models": "\xff"}'])
async def test_a_table_that_is_not_understood_is_said_so(server: FakeServer, table: object) -> None:
    server.replies["GET /api/tags"] = []
    server.reply("GET /api/tags", table)
    with pytest.raises(CommandFailed, match="answered /api/tags in a way not understood"), leaf_errors():
        async with connect(server.url) as client:
            await client.models()


async def test_moments_with_nanoseconds_and_far_away_are_read(server: FakeServer) -> None:
    server.reply("GET /api/ps", {"models": [{"name": "m", "expires_at": "2318-12-31T10:00:00.123456789+02:00"}]})
    async with connect(server.url) as client:
        (model,) = await client.loaded()
    assert model.expires_at.astimezone(UTC).replace(microsecond=0) == datetime(2318, 12, 31, 8, tzinfo=UTC)


async def test_leaving_an_answer_early_leaves_the_server(server: FakeServer) -> None:
    gate = threading.Event()
    server.reply("POST /api/chat", said("one"), gate, *[said("more " * 10_000)] * 50)
    async with connect(server.url) as client, client.chat({}) as pieces:
        async for piece in pieces:
            assert piece.message.content == "one"
            break
    gate.set()
    assert server.left.wait(60)


async def test_nobody_there_is_no_server() -> None:
    with serving() as server:
        url = server.url
    with pytest.raises(NoServer, match=f"no Roundhouse at {url}: nobody answers"):
        async with connect(url):
            pass


async def test_another_program_is_no_server() -> None:
    with serving("ollama") as server, pytest.raises(NoServer, match="another program answers"):
        async with connect(server.url):
            pass


async def test_a_state_that_is_not_to_be_had_is_empty(server: FakeServer) -> None:
    async with connect(server.url) as client:
        assert await client.state() == {}
