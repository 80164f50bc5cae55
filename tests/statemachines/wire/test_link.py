"""Who may say what when: both ends of the link, driven by whole conversations and by single steps."""

import pytest

from statemachines.errors import LocalWireError, RemoteWireError
from statemachines.wire.codec import FrameLimits, encode
from statemachines.wire.link import (
    LEASES,
    TABLES,
    LeaseState,
    LeaseStep,
    Link,
    Phase,
    Side,
    Task,
    runner_link,
    service_link,
)
from statemachines.wire.messages import (
    PROTOCOL_VERSION,
    Cancel,
    Delta,
    EndReason,
    Hello,
    LeaseEnded,
    Message,
    ThreadsSet,
    Tokens,
    ToRunner,
    ToService,
)
from tests.statemachines.wire import samples
from tests.statemachines.wire.samples import CONVERSATIONS, GREETING, LEASE, LOADED, OTHER_LEASE, Conversation
from tests.statemachines.wire.strategies import kinds

S, R = Side.SERVICE, Side.RUNNER
Ends = dict[Side, Link[Message, Message]]


def ends(task: Task = Task.SERVE, limits: FrameLimits | None = None) -> Ends:
    more = () if limits is None else (limits,)
    return {S: service_link(task, *more), R: runner_link(task, *more)}


def say(both: Ends, side: Side, message: Message) -> None:
    """One message across, arriving at once."""
    assert both[side].may_send(message)
    data = both[side].send(message)
    assert both[R if side is S else S].receive(data) == [message]


def after(conversation: Conversation, task: Task = Task.SERVE) -> Ends:
    both = ends(task)
    for side, message in conversation:
        say(both, side, message)
    return both


def refuse_ours(link: Link[Message, Message], message: Message, why: str) -> None:
    """Our own illegal message is refused and leaves everything as it was."""
    before = (link.phase, link.open_leases, link.is_stopping)
    assert not link.may_send(message)
    with pytest.raises(LocalWireError, match=why):
        link.send(message)
    assert (link.phase, link.open_leases, link.is_stopping) == before


def refuse_theirs(link: Link[Message, Message], message: Message, why: str) -> None:
    """The other end's illegal message ends the link for good."""
    with pytest.raises(RemoteWireError, match=why):
        link.receive(encode(message))
    assert link.phase is Phase.BROKEN


def refuse(both: Ends, side: Side, message: Message, why: str) -> None:
    refuse_ours(both[side], message, why)
    refuse_theirs(both[R if side is S else S], message, why)


def test_the_conversations_hold_every_message_of_both_sides() -> None:
    said = {(side, type(message)) for _, talk in CONVERSATIONS.values() for side, message in talk}
    assert said == {(S, kind) for kind in kinds(ToRunner)} | {(R, kind) for kind in kinds(ToService)}


def test_the_conversations_use_every_row_of_every_table() -> None:
    rows = {(phase, *row) for table in TABLES.values() for phase in table for row in table[phase]}
    assert rows == {used for task, talk in CONVERSATIONS.values() for used in rows_of(task, talk)}


def rows_of(task: Task, talk: Conversation) -> list[tuple[Phase, Side, type[Message]]]:
    both, used = ends(task), []
    for side, message in talk:
        used += [(link.phase, side, type(message)) for link in both.values()]
        say(both, side, message)
    return used


@pytest.mark.parametrize("name", CONVERSATIONS)
def test_a_conversation_is_heard_as_it_was_said_byte_by_byte(name: str) -> None:
    task, talk = CONVERSATIONS[name]
    both = ends(task, FrameLimits(frame_bytes_max=7))
    for side, message in talk:
        listener = both[R if side is S else S]
        heard = [found for byte in both[side].send(message) for found in listener.receive(bytes((byte,)))]
        assert heard == [message]
    assert both[S].phase is both[R].phase
    assert both[S].open_leases == both[R].open_leases


@pytest.mark.parametrize("name", CONVERSATIONS)
def test_a_conversation_is_heard_as_it_was_said_cut_at_every_byte(name: str) -> None:
    task, talk = CONVERSATIONS[name]
    for cut in range(max(len(encode(message)) for _, message in talk)):
        both = ends(task)
        for side, message in talk:
            data, listener = both[side].send(message), both[R if side is S else S]
            assert listener.receive(data[:cut]) + listener.receive(data[cut:]) == [message]


def test_many_messages_may_come_at_once() -> None:
    both = after(LOADED)
    data = both[S].send(samples.GENERATE) + both[S].send(samples.CANCEL) + both[S].send(samples.SHUTDOWN)
    assert both[R].receive(data) == [samples.GENERATE, samples.CANCEL, samples.SHUTDOWN]


# The greeting


def test_the_other_end_is_known_once_it_has_greeted() -> None:
    both = ends()
    assert both[S].peer is None
    say(both, R, samples.HELLO)
    assert both[S].peer == samples.HELLO
    assert both[R].peer is None


@pytest.mark.parametrize("message", [m for m in samples.SERVICE_SAMPLES if m != samples.HELLO])
def test_the_service_says_nothing_before_its_greeting(message: Message) -> None:
    refuse(ends(), S, message, "the link is new")


@pytest.mark.parametrize("message", [m for m in samples.RUNNER_SAMPLES if m != samples.HELLO])
def test_the_runner_says_nothing_before_its_greeting(message: Message) -> None:
    refuse(ends(), R, message, "the link is new")


def test_a_load_waits_for_the_runners_greeting() -> None:
    both = ends()
    say(both, S, samples.HELLO)
    refuse(both, S, samples.LOAD, "service_greeted")


@pytest.mark.parametrize("side", Side)
def test_nobody_greets_twice(side: Side) -> None:
    refuse(after(GREETING), side, samples.HELLO, "the link is idle")


@pytest.mark.parametrize("side", Side)
def test_another_version_of_the_protocol_is_refused(side: Side) -> None:
    refuse(ends(), side, Hello(PROTOCOL_VERSION + 1, "9.9", 1), "must be one installation")


# Tasks and loading


def test_a_runner_for_facts_loads_nothing() -> None:
    refuse(after(GREETING, Task.FACTS), S, samples.LOAD, "the link is idle")


def test_a_runner_for_serving_reads_no_facts() -> None:
    refuse(after(GREETING), S, samples.READ_FACTS, "the link is idle")


def test_one_file_is_read_at_a_time() -> None:
    refuse(after((*GREETING, (S, samples.READ_FACTS)), Task.FACTS), S, samples.READ_FACTS, "the link is reading")


@pytest.mark.parametrize("message", [samples.GENERATE, samples.CANCEL, samples.SET_THREADS, samples.LOAD])
def test_nothing_is_asked_of_a_runner_that_loads(message: Message) -> None:
    refuse(after((*GREETING, (S, samples.LOAD))), S, message, "the link is loading")


@pytest.mark.parametrize("message", [samples.TOKENS, samples.FINISHED, samples.THREADS_SET, samples.BEAT])
def test_a_runner_that_loads_answers_nothing(message: Message) -> None:
    refuse(after((*GREETING, (S, samples.LOAD))), R, message, "the link is loading")


@pytest.mark.parametrize("message", samples.RUNNER_SAMPLES, ids=lambda message: type(message).__name__)
def test_nothing_follows_a_failed_load(message: Message) -> None:
    refuse(after((*GREETING, (S, samples.LOAD), (R, samples.LOAD_FAILED))), R, message, "the link is failed")


@pytest.mark.parametrize("message", [samples.PROGRESS, samples.READY, samples.LOAD_FAILED])
def test_a_model_is_loaded_once(message: Message) -> None:
    refuse(after(LOADED), R, message, "the link is ready")


# Leases


@pytest.mark.parametrize("message", [samples.TOKENS, samples.FINISHED, samples.CANCELLED])
def test_nothing_is_said_of_a_lease_that_is_not_open(message: Message) -> None:
    refuse(after(LOADED), R, message, "lease 7 is unknown")


def test_one_step_may_serve_open_leases_only() -> None:
    both = after((*LOADED, (S, samples.GENERATE)))
    refuse(both, R, Tokens(1, (Delta(LEASE, "a"), Delta(OTHER_LEASE, "b"))), "lease 8 is unknown")


def test_a_lease_ends_once() -> None:
    refuse(after((*LOADED, (S, samples.GENERATE), (R, samples.FINISHED))), R, samples.FINISHED, "lease 7 is unknown")


def test_a_lease_is_asked_for_once() -> None:
    refuse(after((*LOADED, (S, samples.GENERATE))), S, samples.GENERATE, "lease 7 is open")


def test_a_lease_is_cancelled_once() -> None:
    refuse(after((*LOADED, (S, samples.GENERATE), (S, samples.CANCEL))), S, samples.CANCEL, "lease 7 is cancelling")


def test_a_cancel_that_crossed_the_end_is_answered_and_nothing_else_comes() -> None:
    both = after((*LOADED, (S, samples.GENERATE), (S, samples.CANCEL), (R, samples.FINISHED)))
    assert both[S].open_leases == both[R].open_leases == (LEASE,)
    refuse_ours(both[R], samples.TOKENS, "lease 7 is crossed")
    refuse_ours(both[R], samples.FINISHED, "lease 7 is crossed")
    say(both, R, samples.CANCELLED)
    assert both[S].open_leases == both[R].open_leases == ()


def test_a_runner_ends_no_lease_as_cancelled_of_its_own_accord() -> None:
    both = after((*LOADED, (S, samples.GENERATE)))
    refuse_ours(both[R], samples.CANCELLED, "lease 7 is open, which allows no cancelled")


def test_open_leases_are_told_oldest_first() -> None:
    both = after((*LOADED, (S, samples.GENERATE_OTHER), (S, samples.GENERATE)))
    assert both[S].open_leases == (OTHER_LEASE, LEASE)


def test_every_lease_row_is_reachable() -> None:
    reached = {LeaseState.UNKNOWN}
    for _ in LeaseState:
        reached |= {target for (state, _), target in LEASES.items() if state in reached}
    assert reached == set(LeaseState)
    assert {step for _, step in LEASES} == set(LeaseStep)


# Threads


def test_threads_are_acknowledged_only_when_asked_for() -> None:
    refuse(after(LOADED), R, samples.THREADS_SET, "no SetThreads is unanswered")


def test_threads_are_acknowledged_once() -> None:
    both = after((*LOADED, (S, samples.SET_THREADS), (R, samples.THREADS_SET)))
    refuse(both, R, ThreadsSet(2), "no SetThreads is unanswered")


def test_threads_may_be_changed_again_before_the_answer() -> None:
    both = after((*LOADED, (S, samples.SET_THREADS), (S, samples.SET_THREADS), (R, samples.THREADS_SET)))
    say(both, R, ThreadsSet(2))


# Ends


@pytest.mark.parametrize("message", [samples.GENERATE, samples.CANCEL, samples.SET_THREADS, samples.SHUTDOWN])
def test_the_service_says_nothing_after_shutdown(message: Message) -> None:
    both = after((*LOADED, (S, samples.SHUTDOWN)))
    assert both[S].is_stopping
    assert both[R].is_stopping
    refuse(both, S, message, "it has sent Shutdown")


def test_a_runner_that_was_stopped_by_a_signal_ends_its_leases_and_hears_nothing() -> None:
    both = after((*LOADED, (S, samples.GENERATE)))
    crossing = both[S].send(samples.CANCEL)
    both[R].stop()
    assert both[R].receive(crossing) == []
    say(both, R, samples.CANCELLED)
    assert both[S].open_leases == both[R].open_leases == ()
    both[R].receive_eof()


@pytest.mark.parametrize("side", Side)
def test_nothing_is_said_after_the_end(side: Side) -> None:
    both = after(LOADED)
    both[side].receive_eof()
    assert both[side].phase is Phase.CLOSED
    refuse_ours(both[side], samples.BEAT if side is R else samples.CANCEL, "the link is closed")


@pytest.mark.parametrize("side", Side)
def test_an_end_in_the_middle_of_a_message_is_their_error(side: Side) -> None:
    link = ends()[side]
    link.receive(encode(samples.HELLO)[:-1])
    with pytest.raises(RemoteWireError, match="middle"):
        link.receive_eof()
    assert link.phase is Phase.CLOSED


def test_nothing_is_said_or_heard_after_their_error() -> None:
    link = after(LOADED)[S]
    refuse_theirs(link, samples.READY, "the link is ready")
    refuse_ours(link, samples.GENERATE, "the link is broken")
    with pytest.raises(RemoteWireError, match="the link is broken"):
        link.receive(encode(samples.BEAT))


def test_a_message_that_cannot_be_packed_changes_nothing() -> None:
    both = after((*LOADED, (S, samples.GENERATE)))
    ended = LeaseEnded(LEASE, EndReason.STOP, rest="\ud800")
    with pytest.raises(LocalWireError, match="cannot be packed"):
        both[R].send(ended)
    assert both[R].open_leases == (LEASE,)
    say(both, R, samples.FINISHED)


@pytest.mark.parametrize("side", Side)
def test_the_other_sides_messages_are_not_ours_to_send(side: Side) -> None:
    other = samples.RUNNER_SAMPLES if side is S else samples.SERVICE_SAMPLES
    for task in Task:
        link = after(GREETING, task)[side]
        for message in other:
            refuse_ours(link, message, "may not send")


def test_errors_name_the_side_and_the_message() -> None:
    with pytest.raises(LocalWireError, match="runner may not send LoadFailed: the link is new"):
        runner_link(Task.SERVE).send(samples.LOAD_FAILED)
    with pytest.raises(RemoteWireError, match="service may not send Cancel: the link is new"):
        runner_link(Task.SERVE).receive(encode(Cancel(LEASE)))
