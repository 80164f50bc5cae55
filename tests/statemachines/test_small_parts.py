"""Units, errors, causes, journal, machines that the scheduler does not drive yet, and how things print."""

import msgspec
import pytest

from statemachines import effects, events, failures
from statemachines.causes import Cause, Wait
from statemachines.device import DEVICE, Device, DeviceState, DeviceTrigger
from statemachines.errors import RETRY_AFTER_S, STATUS_HINTS, Refusal, RefusalCode, RequestRefused
from statemachines.facts import DeviceBytes, LoadKey
from statemachines.failures import TOLD_AS
from statemachines.journal import Entry, Header, decode, decode_header, encode
from statemachines.limits import Limits
from statemachines.runner import RUNNER
from statemachines.scheduler import Scheduler
from statemachines.states import RunnerState
from statemachines.table import Kind, LookupInterpreter
from statemachines.units import FOREVER_NS, HOST, NS_PER_S, DeviceId, RunnerId, format_bytes, format_duration
from statemachines.units import seconds_to_ns as to_ns
from tests.statemachines.bench import Bench


def test_quantities_read_like_a_person_writes_them() -> None:
    assert [format_bytes(count) for count in (5, 2048, 3 << 20, 5 << 30)] == ["5 B", "2.0 KiB", "3.0 MiB", "5.0 GiB"]
    assert [format_duration(ns) for ns in (250_000_000, 2 * NS_PER_S, FOREVER_NS)] == ["250 ms", "2 s", "forever"]
    assert (to_ns(1.5), to_ns(1e30)) == (1_500_000_000, FOREVER_NS)


def test_every_refusal_has_a_status_and_an_exception_carries_it() -> None:
    assert set(STATUS_HINTS) == set(RefusalCode)
    assert {code for code, status in STATUS_HINTS.items() if status == 503} <= set(RETRY_AFTER_S)
    refused = RequestRefused(Refusal(RefusalCode.QUEUE_FULL, "full", 3))
    assert (refused.code, refused.status_hint, refused.retry_hint_s, str(refused)) == (
        RefusalCode.QUEUE_FULL,
        503,
        3,
        "full",
    )


def test_every_cause_has_words_and_names_its_holders() -> None:
    assert all(Wait(cause).view().words for cause in Cause)
    assert Wait(Cause.BYTES, ("runner 3", "runner 4")).words == "memory has to come free first (runner 3, runner 4)"


def test_a_load_key_prints_all_its_parts() -> None:
    assert str(LoadKey("sha256:ab", ("lora",), "mmproj")) == "sha256:ab+lora+mmproj"
    assert str(LoadKey("file:1")) == "file:1"


def test_own_bytes_are_everything_but_the_mapped_file() -> None:
    assert DeviceBytes("CPU", 1, 10, 100, 1000, 10000).own_bytes == 11110


def test_a_journal_line_gives_back_what_was_written() -> None:
    event = events.SpawnFailed(at=3, runner=RunnerId(1), message="no")
    entry = Entry(event, (effects.KillRunner(RunnerId(1)), effects.SampleDevices()))
    assert decode(encode(entry)) == entry
    with pytest.raises(msgspec.DecodeError):
        decode(b"{}")
    header = Header("0.1.0", Limits(), "a test", 1, 2, 3)
    assert decode_header(encode(header)) == header


def test_a_whole_run_of_the_core_fits_into_its_journal() -> None:
    bench = Bench()
    bench.ready("a")
    bench.ask("a", num_ctx=8192)
    for effect in bench.out:
        assert decode(encode(Entry(events.DeadlineReached(), (effect,)))).effects == (effect,)


def test_how_a_process_ended_in_words() -> None:
    assert failures.how_it_ended(events.Exit(-9)) == "signal 9"
    assert failures.how_it_ended(events.Exit(3)) == "exit status 3"


def test_every_way_out_of_loading_is_told_to_the_load() -> None:
    leaving = {
        trigger
        for (state, trigger), cell in RUNNER.cells.items()
        if state is RunnerState.LOADING
        for one in cell
        if one.target is not None and one.target is not RunnerState.READY
    }
    assert leaving == set(TOLD_AS)


def test_a_card_turns_suspect_and_comes_back_when_no_cause_is_left() -> None:
    card, interpreter = Device(DeviceId("CUDA0")), LookupInterpreter(DEVICE)
    interpreter.fire(card, DeviceTrigger.SUSPECTED, None, "unreapable runner 3")
    interpreter.fire(card, DeviceTrigger.SUSPECTED, None, "bad sample")
    assert card.state is DeviceState.SUSPECT
    del card.causes["bad sample"]
    interpreter.fire(card, DeviceTrigger.RECOVERED, None)
    assert card.state is DeviceState.SUSPECT
    card.causes.clear()
    interpreter.fire(card, DeviceTrigger.RECOVERED, None)
    assert card.state is DeviceState.OK
    interpreter.fire(card, DeviceTrigger.DISAPPEARED, None)
    interpreter.fire(card, DeviceTrigger.RECOVERED, None)
    assert card.state is DeviceState.LOST


def test_the_host_is_never_suspect_or_lost() -> None:
    host, interpreter = Device(HOST), LookupInterpreter(DEVICE)
    for trigger in (DeviceTrigger.SUSPECTED, DeviceTrigger.DISAPPEARED):
        assert interpreter.fire(host, trigger, None).kind is Kind.ILLEGAL


def test_things_print_as_what_they_are() -> None:
    bench = Bench()
    request = bench.ask("a")
    world = bench.core._world
    assert repr(world.requests[request]) == "<Request 1 a waiting>"
    assert repr(next(iter(world.loads.values()))) == "<Load 1 a starting claimants=1>"
    assert repr(world.runners[RunnerId(1)]).startswith("<Runner 1 a loading")


def test_settling_that_does_not_end_is_an_error_and_not_a_hang(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("statemachines.scheduler.SETTLE_ROUNDS_MAX", 1)
    bench = Bench(is_open=False)
    core: Scheduler = bench.core
    core._world.to_place.update({LoadKey("x"): None, LoadKey("y"): None})
    with pytest.raises(Exception, match="two rules undo each other"):
        bench.sample(1)
