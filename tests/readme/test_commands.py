"""README.md's commands do what README.md says, typed by someone who has nothing but a checkout."""

import json
import re
import signal
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass

import pytest

from tests.checkout import ROOT
from tests.factory.demo import ANSWER
from tests.readme.commands import WORDS, Block, blocks, only
from tests.readme.newcomer import Newcomer, arrive

README = (ROOT / "README.md").read_text(encoding="utf-8")
BLOCKS = blocks(README)
PORT = "11434"
# An empty cache means compiling the engine; this deadline only ends a run that hangs.
pytestmark = [pytest.mark.engine, pytest.mark.timeout(3600)]


def block(name: str) -> str:
    return only(BLOCKS, WORDS[name]).text


@dataclass(frozen=True)
class Demo:
    """A machine on which the first line of the README has been typed, and what it printed."""

    newcomer: Newcomer
    result: subprocess.CompletedProcess[str]


@pytest.fixture(scope="module")
def demo(tmp_path_factory: pytest.TempPathFactory) -> Demo:
    """Installs once, for all tests here."""
    newcomer = arrive(tmp_path_factory.mktemp("newcomer"))
    return Demo(newcomer, newcomer.run(block("demo")))


@pytest.fixture
def port(demo: Demo) -> Iterator[str]:
    """A server started by the README's line, on a free port instead of the usual one."""
    with demo.newcomer.start(block("serve"), ROUNDHOUSE_HOST="127.0.0.1:0") as server:
        try:
            yield _port_of(server)
        finally:
            server.send_signal(signal.SIGTERM)
            rest = server.communicate()[0]
    assert server.returncode == 0, rest


def _port_of(server: subprocess.Popen[str]) -> str:
    """The port that the server says it is bound to."""
    assert server.stdout is not None
    said = []
    for line in server.stdout:
        said.append(line)
        if match := re.search(r"127\.0\.0\.1:(\d+)", line):
            return match[1]
    raise AssertionError("the server ended before it was ready:\n" + "".join(said))


def test_first_line_installs_and_prints_the_answer(demo: Demo) -> None:
    assert demo.result.returncode == 0, demo.result.stdout + demo.result.stderr
    assert demo.result.stdout.splitlines()[-1] == ANSWER
    assert "scripted test model, not a language model" in demo.result.stderr


def test_second_line_installs_tox_and_runs_it(demo: Demo) -> None:
    """Restricted to one environment: this test is part of what the whole line runs."""
    result = demo.newcomer.run(block("test"), TOXENV="lint")
    assert result.returncode == 0, result.stdout + result.stderr
    assert "lint: OK" in result.stdout


def test_curl_example_answers(demo: Demo, port: str) -> None:
    result = demo.newcomer.run(block("curl").replace(PORT, port) + " --silent --show-error")
    assert result.returncode == 0, result.stderr
    assert json.loads(result.stdout)["message"] == {"role": "assistant", "content": ANSWER}


def test_openai_example_answers(demo: Demo, port: str) -> None:
    installed = demo.newcomer.run(block("openai"))
    assert installed.returncode == 0, installed.stdout + installed.stderr
    (demo.newcomer.folder / "example.py").write_text(block("python").replace(PORT, port))
    result = demo.newcomer.run(".venv/bin/python ../example.py")
    assert result.stdout == ANSWER + "\n", result.stderr


def test_nothing_was_written_to_home_but_what_the_documentation_names(demo: Demo) -> None:
    home = demo.newcomer.folder / "home"
    assert {path.name for path in home.iterdir()} <= {".local", ".cache", "Library"}


def test_every_block_is_run_here_or_says_why_not() -> None:
    ran = [block(name) for name in WORDS]
    left = [found for found in BLOCKS if found.text not in ran]
    assert [found for found in left if not found.why_not] == []


@pytest.mark.parametrize("target", sorted(set(re.findall(r"\]\(([^)#:]+)\)", README))))
def test_link_leads_to_a_file(target: str) -> None:
    assert (ROOT / target).exists()


def test_blocks_know_why_they_are_not_run() -> None:
    text = "<!-- not run: no GPU -->\n```sh\nmake\n```\n\n```python\nprint()\n```\n"
    assert blocks(text) == [Block("sh", "make", "no GPU"), Block("python", "print()")]


@pytest.mark.parametrize("words", ["pip", "nowhere"])
def test_words_must_name_one_block(words: str) -> None:
    with pytest.raises(LookupError):
        only([Block("sh", "pip a"), Block("sh", "pip b")], words)


def test_the_line_that_ci_runs_is_the_second_one() -> None:
    assert [found.text for found in BLOCKS[:2]] == [block("demo"), block("test")]
