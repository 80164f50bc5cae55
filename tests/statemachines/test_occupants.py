"""Who is in which state, and the diagram that shows it."""

import pytest

from statemachines.diagrams import NAMED_MAX, TABLES, diagram, marked
from statemachines.occupants import occupants
from statemachines.units import GIB, MIB, RunnerId
from tests.statemachines.bench import Bench, need_bytes


def notes(drawn: str) -> dict[str, list[str]]:
    """The lines of each note, by its state."""
    blocks = [block.partition("    end note")[0] for block in drawn.split("    note right of ")[1:]]
    lines = [block.splitlines() for block in blocks]
    return {state: [line.strip() for line in rest] for state, *rest in lines}


def test_everybody_who_lives_is_in_one_state() -> None:
    bench = Bench(memory_bytes=need_bytes(100 * MIB) + MIB)
    bench.ready("a")
    bench.ask("a")
    bench.ask("a")
    bench.ask("b")
    found = occupants(bench.core.snapshot())
    assert found["service", "open"] == ["the service"]
    assert found["runner", "ready"] == ["runner 1 a, 1 leases"]
    assert found["request", "leased"] == ["request 2 a"]
    assert found["request", "waiting"] == ["request 3 a, waits for slot", "request 4 b, waits for earlier_requests"]
    assert found["load", "waiting"] == ["load 2 b, waits for earlier_requests"]
    assert found["device", "ok"] == ["host"]
    ((place, (words,)),) = [(place, words) for place, words in found.items() if place[0] == "bytes"]
    assert (place[1], words.endswith(" MiB on host")) == ("used", True)
    assert set(found) <= {(table.machine, str(state)) for table in TABLES for state in table.states}


def test_runners_say_their_fence_their_stage_and_that_they_are_dead() -> None:
    bench = Bench(memory_bytes=2 * need_bytes(100 * MIB) + MIB)
    first, second = bench.ready("a"), bench.ready("b")
    bench.exit(first)
    leased = bench.ask("b")
    bench.ask("c", weight_bytes=200 * MIB)
    found = occupants(bench.core.snapshot())
    assert found["runner", "ready"] == ["runner 2 b, fenced for load 3, 1 leases"]
    assert found["runner", "dead"] == ["runner 1 a"]
    bench.answer(leased)
    assert occupants(bench.core.snapshot())["runner", "unloading"] == ["runner 2 b, terminating"]
    assert second == RunnerId(2)


def test_bytes_of_a_load_in_progress_are_reserved() -> None:
    bench = Bench(memory_bytes=8 * GIB)
    bench.ask("a")
    assert ("bytes", "reserved") in occupants(bench.core.snapshot())


def test_the_marked_diagram_has_every_transition_and_marks_only_where_somebody_is() -> None:
    bench = Bench()
    bench.ready("a")
    found = occupants(bench.core.snapshot())
    drawn = marked(found)
    assert drawn.startswith("stateDiagram-v2\n")
    arrows = [line.strip() for line in drawn.splitlines() if "-->" in line]
    for table in TABLES:
        for line in diagram(table).splitlines()[1:]:
            source, _, rest = line.strip().partition(" --> ")
            source = source if source == "[*]" else f"{table.machine}_{source}"
            assert f"{source} --> {table.machine}_{rest}" in arrows
    assert notes(drawn) == {f"{machine}_{state}": names for (machine, state), names in found.items()}
    classes = {line.split()[1] for line in drawn.splitlines() if line.startswith("    class ")}
    assert classes == set(notes(drawn))


def test_a_crowd_is_a_number() -> None:
    bench = Bench(queue_len_max=100)
    bench.ready("a")
    for _ in range(NAMED_MAX + 6):
        bench.ask("a")
    lines = notes(marked(occupants(bench.core.snapshot())))["request_waiting"]
    assert len(lines) == NAMED_MAX + 1
    assert lines[-1] == "and 5 more"


@pytest.mark.parametrize(
    "name", ["a\n    end note\n    x --> y", 'a"; click x href "evil"', "<img src=x>", "%%{init}%%"]
)
def test_a_name_brings_no_mermaid_of_its_own(name: str) -> None:
    bench, plain = Bench(), Bench()
    bench.ask(name)
    plain.ask("a")
    drawn, expected = (marked(occupants(one.core.snapshot())).splitlines() for one in (bench, plain))
    different = [(mine, other) for mine, other in zip(drawn, expected, strict=True) if mine != other]
    assert len(different) == 3
    for mine, _ in different:
        assert mine.startswith(("        request 1 a", "        load 1 ", "        runner 1 ", "        request 1 "))
        assert not set(mine) & set("<>%\"'#;")
