"""What the benchmark of the first token makes of what it measured. That it measures is tests/integration's."""

from itertools import pairwise
from pathlib import Path

import pytest

from benchmarks import first_token, llama_server
from benchmarks.first_token import LOADED, compared, disturbance, read_plan, second_loads
from benchmarks.models import made, prompt
from benchmarks.processes import command_line
from benchmarks.rows import Row
from benchmarks.service import read_address
from benchmarks.steal import Undisturbed
from benchmarks.surroundings import processor, surroundings
from benchmarks.turns import FIRST, Pair, Plan


def pairs(*milliseconds: tuple[float, float, float]) -> list[Undisturbed[Pair]]:
    return [Undisturbed(Pair(*values), 0.0, 0) for values in milliseconds]


def test_both_sides_are_compared_pair_by_pair() -> None:
    rows = {row.name: row for row in compared("loaded", pairs((50, 48, 47), (70, 66, 69)), LOADED)}
    assert {name: list(row.values) for name, row in rows.items()} == {
        "loaded, over HTTP": [50, 70],
        "loaded, in-process": [48, 66],
        "loaded, over HTTP minus the prompt in its runner": [3, 1],
        "loaded, over HTTP minus in-process": [2, 4],
    }
    assert [row.name for row in rows.values() if row.limits] == ["loaded, over HTTP minus in-process"]


def test_a_row_says_how_much_it_was_disturbed() -> None:
    assert disturbance([Undisturbed(1, 0.004, 0), Undisturbed(2, 0.025, 5)]) == "steal 2.5% at most, 5 turns repeated"


def test_a_second_load_is_reported_with_how_soon_it_came() -> None:
    gaps, loads = second_loads([Undisturbed((300.0, 900.0), 0.0, 0), Undisturbed((510.0, 800.0), 0.0, 0)])
    assert (gaps.values, gaps.is_good) == ([300.0, 510.0], False)
    assert (loads.values, loads.is_good) == ([900.0, 800.0], True)


def test_what_the_host_has_spoiled_is_no_figure() -> None:
    spoiled = [*pairs((50, 48, 47)), Undisturbed(Pair(50, 48, 47), 0.02, 5)]
    row = [*compared("loaded", spoiled, LOADED)][-1]
    assert (row.missed, row.is_good) == ([], False)
    assert str(row).endswith("DISTURBED: 1 values")


@pytest.mark.parametrize(("idle_mb", "status"), [(90.0, 0), (90.1, 1)])
def test_the_exit_status_says_whether_all_was_met(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], idle_mb: float, status: int
) -> None:
    row = Row("service", [idle_mb], "MB", first_token.RESIDENT)
    monkeypatch.setattr(first_token, "measured", lambda _: [row])
    monkeypatch.setattr(first_token, "surroundings", list)
    plan = Plan(tmp_path, threads=1, write=lambda path, seed: path.write_bytes(bytes(seed)))
    assert first_token.main(plan) == status
    printed = capsys.readouterr().out
    assert str(row) in printed
    assert "llama-server, from its start: not given" in printed
    assert f"--models={tmp_path} --threads=1 --context-length=2048" in printed


def test_the_command_line_says_what_is_measured(tmp_path: Path) -> None:
    plan = read_plan(["--pairs", "7", "--threads", "3", "--folder", str(tmp_path), "--llama-server", "/bin/x"])
    assert (plan.pairs, plan.threads, plan.folder, plan.llama_server) == (7, 3, tmp_path, Path("/bin/x"))
    assert read_plan([]).pairs == 50


def test_prompts_have_as_many_words_as_asked_for_and_begin_differently() -> None:
    texts = [prompt(number, 32) for number in range(200)]
    assert {len(text.split()) for text in texts} == {31}
    assert len({text[:20] for text in texts}) == 200
    assert prompt(5, 32) == texts[5]


def test_turns_of_every_kind_have_prompts_of_their_own(tmp_path: Path) -> None:
    plan = Plan(tmp_path, threads=1)
    assert plan.prompt(1, 3) != plan.prompt(2, 3)


def test_a_model_is_written_once_and_whole(tmp_path: Path) -> None:
    path, written = tmp_path / "models" / f"{FIRST}.gguf", list[int]()

    def write(target: Path, seed: int) -> None:
        assert target != path
        written.append(target.write_bytes(bytes(seed)))

    assert made(path, 3, write) == made(path, 4, write) == path
    assert written == [3]
    assert [each.name for each in path.parent.iterdir()] == [path.name]


def test_a_command_is_printed_as_one_would_type_it() -> None:
    assert command_line(["a b", "--x=1"], {"NAME": "v"}) == "NAME=v 'a b' --x=1"


def test_llama_servers_command_line_has_the_sizes_of_the_others() -> None:
    words = llama_server.words(Path("/x/llama-server"), Path("/m.gguf"), threads=2, context_tokens=64, port=99)
    assert words[0] == "/x/llama-server"
    assert {("-m", "/m.gguf"), ("-t", "2"), ("-c", "64"), ("--port", "99")} <= set(pairwise(words))


def test_a_service_that_ends_early_says_why() -> None:
    with pytest.raises(RuntimeError, match="no such folder"):
        read_address(iter(["no such folder\n"]))


def test_a_report_names_machine_and_versions(tmp_path: Path) -> None:
    (tmp_path / "cpuinfo").write_text("processor\t: 0\nmodel name\t: A Fast One\n")
    assert processor(tmp_path / "cpuinfo") == "A Fast One"
    assert processor(tmp_path / "nothing") != ""
    assert [line.split()[0] for line in surroundings()] == ["machine", "versions"]
