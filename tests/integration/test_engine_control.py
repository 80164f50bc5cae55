"""What a runner obeys between two steps: cancels, thread changes, an orderly stop."""

import time
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import pytest

from runner.llama import library
from runner.llama.answer import Answer
from runner.tasks import CancelRead
from statemachines.errors import RemoteWireError
from statemachines.units import LeaseId
from statemachines.wire.exits import ExitStatus
from statemachines.wire.messages import (
    Beat,
    Cancel,
    EndReason,
    LeaseEnded,
    Ready,
    SetThreads,
    Shutdown,
    ThreadsSet,
    Tokens,
    ToRunner,
    ToService,
)
from tests.factory.random_model import random_model
from tests.factory.scripted import say, scripted_model
from tests.integration.engine_process import runner_process
from tests.integration.engine_runs import LEASE, Interrupt, chat, deltas_of, drive, end_of, generate, load_of, text_of

pytestmark = pytest.mark.engine

OTHER = LeaseId(2)


@pytest.fixture(scope="module")
def script(tmp_path_factory: pytest.TempPathFactory) -> Path:
    answers = {"endless": say("on and on", endless=True), "short": say("Done.")}
    return scripted_model(tmp_path_factory.mktemp("control") / "script.gguf", answers)


@pytest.fixture
def decodes(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """How many tokens each of the engine's decodes was given."""
    sizes: list[int] = []
    decode = library.Context.decode

    def count(context: library.Context, entries: list[library.BatchEntry]) -> int:
        sizes.append(len(entries))
        return decode(context, entries)

    monkeypatch.setattr(library.Context, "decode", count)
    return sizes


def after_frames(count: int, messages: Iterable[ToRunner]) -> Interrupt:
    """Say these, one after the other, once `count` token frames have been sent."""
    waiting = list(messages)

    def interrupt(sent: list[ToService]) -> ToRunner | None:
        frames = sum(isinstance(message, Tokens) for message in sent)
        return waiting.pop(0) if frames >= count and waiting else None

    return interrupt


def test_after_a_cancel_there_is_no_further_decode(script: Path, decodes: list[int]) -> None:
    sent = drive(load_of(script), [chat("endless")], after_frames(5, [Cancel(LEASE)]))
    assert len(deltas_of(sent)) == 5
    assert decodes[1:] == [1] * 4  # the prompt's step made the first token
    end = end_of(sent)
    assert (end.reason, end.usage.output_tokens, end.usage.decodes_after_cancel) == (EndReason.CANCELLED, 5, 0)


@pytest.mark.parametrize(("is_during_a_decode", "count"), [(True, 1), (False, 0)])
def test_a_decode_that_runs_when_a_cancel_is_read_is_counted(
    script: Path, monkeypatch: pytest.MonkeyPatch, is_during_a_decode: bool, count: int
) -> None:
    read_ns: list[int] = []
    decode = library.Context.decode

    def note(context: library.Context, entries: list[library.BatchEntry]) -> int:
        read_ns.append(time.monotonic_ns())
        return decode(context, entries)

    def interrupt(_sent: list[ToService]) -> ToRunner | None:
        if len(read_ns) < 3:
            return None
        return CancelRead(LEASE, read_ns[-1] if is_during_a_decode else time.monotonic_ns())

    monkeypatch.setattr(library.Context, "decode", note)
    usage = end_of(drive(load_of(script), [chat("endless")], interrupt)).usage
    assert (usage.output_tokens, usage.decodes_after_cancel) == (3, count)


def test_a_cancel_that_was_read_long_ago_has_come_since_the_last_look_that_did_not_find_it(
    script: Path, decodes: list[int]
) -> None:
    sent = drive(load_of(script), [chat("endless")], lambda _sent: CancelRead(LEASE, 0) if len(decodes) == 4 else None)
    assert end_of(sent).usage.decodes_after_cancel == 1


def test_an_engine_that_went_on_after_a_cancel_would_say_so() -> None:
    times_ns = iter([10, 20, 30, 40])
    nothing: Any = None
    answer = Answer(
        generate("not looked at"),
        range(400),
        nothing,
        vocabulary=nothing,
        context_tokens=512,
        chunk_tokens=64,
        slot=0,
        clock=lambda: next(times_ns),
        started_ns=0,
    )
    for _ in range(3):
        answer.take(nothing, len(answer.entries()))
    answer.cancel(10)
    assert answer.ended().usage.decodes_after_cancel == 2


def test_at_most_one_decode_follows_a_cancel_whenever_it_comes(tmp_path: Path) -> None:
    """Early and late in prompts and in answers; most of the time of a lease is spent in decodes."""
    model = scripted_model(tmp_path / "endless.gguf", say("on and on", endless=True), context_tokens=60_000)
    counts: list[int] = []
    with runner_process() as process:
        process.send(load_of(model, context_tokens=60_000))
        process.until(Ready)
        for number in range(1, 41):
            lease = LeaseId(number)
            process.send(generate("x" * (100 * number), lease=lease, num_predict=-1))
            for _ in range(number % 4):
                process.until(Tokens)
            process.send(Cancel(lease))
            (*_, end) = process.until(LeaseEnded)
            assert isinstance(end, LeaseEnded)
            assert (end.lease, end.reason) == (lease, EndReason.CANCELLED)
            counts.append(end.usage.decodes_after_cancel)
    assert max(counts) == 1, counts


def test_a_cancel_between_two_chunks_of_a_prompt_leaves_the_rest_unevaluated(script: Path, decodes: list[int]) -> None:
    sent = drive(load_of(script), [generate("x" * 300)], lambda _sent: Cancel(LEASE) if len(decodes) == 2 else None)
    assert decodes == [64, 64]
    assert (end_of(sent).reason, end_of(sent).usage.output_tokens) == (EndReason.CANCELLED, 0)


def test_prompts_are_cut_on_the_grid(script: Path, decodes: list[int]) -> None:
    drive(load_of(script), [generate("x" * 150, num_predict=1)])
    assert sum(decodes) == 152  # a begin token, and a space as SentencePiece puts one first
    assert decodes == [64, 64, 24]


def test_the_slot_is_free_after_a_cancel(script: Path) -> None:
    messages = [chat("endless"), chat("short", lease=OTHER)]
    sent = drive(load_of(script), messages, after_frames(3, [Cancel(LEASE)]))
    assert text_of(sent, OTHER) == "Done."


def test_a_cancel_of_an_unknown_lease_is_answered(script: Path) -> None:
    sent = drive(load_of(script), [Cancel(OTHER), chat("short"), Cancel(LEASE)])
    ends = [message for message in sent if isinstance(message, LeaseEnded)]
    assert [(end.lease, end.reason) for end in ends] == [
        (OTHER, EndReason.CANCELLED),
        (LEASE, EndReason.STOP),
        (LEASE, EndReason.CANCELLED),
    ]


def test_a_cancel_of_another_lease_leaves_the_open_one_alone(script: Path) -> None:
    sent = drive(load_of(script), [chat("endless", num_predict=9)], after_frames(3, [Cancel(OTHER)]))
    assert (end_of(sent).reason, end_of(sent).usage.output_tokens) == (EndReason.LENGTH, 9)


def test_a_second_lease_at_a_time_is_refused(script: Path) -> None:
    sent = drive(load_of(script), [chat("endless", num_predict=9)], after_frames(3, [chat("short", lease=OTHER)]))
    assert end_of(sent, OTHER).reason is EndReason.REFUSED
    assert end_of(sent).usage.output_tokens == 9


def test_threads_change_between_steps(script: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    threads: list[int] = []
    decode = library.Context.decode

    def note(context: library.Context, entries: list[library.BatchEntry]) -> int:
        threads.append(context.threads)
        return decode(context, entries)

    monkeypatch.setattr(library.Context, "decode", note)
    sent = drive(load_of(script), [chat("endless", num_predict=6)], after_frames(4, [SetThreads(2)]))
    assert threads == [1, 1, 1, 1, 2, 2]
    assert sent.count(ThreadsSet(2)) == 1


def test_a_shutdown_ends_the_open_lease_as_cancelled(script: Path) -> None:
    sent = drive(load_of(script), [chat("endless")], after_frames(2, [Shutdown()]))
    assert isinstance(sent[-1], LeaseEnded)
    assert sent[-1].reason is EndReason.CANCELLED


def test_a_message_that_makes_no_sense_ends_the_runner(script: Path) -> None:
    with pytest.raises(RemoteWireError, match="Load"):
        drive(load_of(script), [load_of(script)])


def test_a_failed_decode_ends_the_runner(script: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(library.Context, "decode", lambda _context, _entries: -3)
    with pytest.raises(Exception, match="decode returned -3"):
        drive(load_of(script), [chat("short")])


def test_a_decode_without_memory_ends_the_runner_as_out_of_memory(
    script: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(library.Context, "decode", lambda _context, _entries: -2)
    with pytest.raises(MemoryError, match="decode returned -2"):
        drive(load_of(script), [chat("short")])


def test_a_closed_link_ends_a_runner_in_the_middle_of_a_prompt(tmp_path: Path) -> None:
    with runner_process() as process:
        process.send(load_of(random_model(tmp_path / "model.gguf"), context_tokens=60_000))
        process.until(Ready)
        process.send(generate("x" * 50_000))
        process.until(Beat)
        process.close()
        assert process.wait() == ExitStatus.LINK_CLOSED


def test_a_busy_runner_beats_by_graph_nodes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("runner.llama.beats.BEAT_INTERVAL_S", 0)
    sent = drive(load_of(random_model(tmp_path / "model.gguf")), [generate("some words", num_predict=2)])
    beats = [message for message in sent if isinstance(message, Beat)]
    assert {beat.step for beat in beats} == {0, 1, 2}  # Before the first one the prompt is made ready.
    assert len(beats) > 20  # a step has dozens of nodes
    assert [beat.progress for beat in beats] == list(range(1, len(beats) + 1))
