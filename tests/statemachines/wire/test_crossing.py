"""Messages cross: whatever one end may say by its own view, the other end accepts, however the streams interleave."""

from typing import Any

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from statemachines.errors import LocalWireError
from statemachines.units import LeaseId
from statemachines.wire.link import Link, Phase, Side, Task, runner_link, service_link
from statemachines.wire.messages import (
    Cancel,
    Delta,
    EndReason,
    Generate,
    LeaseEnded,
    Message,
    Shutdown,
    TextPrompt,
    Tokens,
)
from tests.statemachines.wire import samples

LEASES = tuple(map(LeaseId, (1, 2)))
S, R = Side.SERVICE, Side.RUNNER


def sayings(side: Side) -> tuple[Message, ...]:
    """Everything a side could say, over a few leases."""
    if side is S:
        generates = [Generate(lease, TextPrompt("x")) for lease in LEASES]
        once = (samples.HELLO, samples.LOAD, samples.READ_FACTS, samples.SET_THREADS)
        return (*once, *generates, *map(Cancel, LEASES))
    ends = [LeaseEnded(lease, reason) for lease in LEASES for reason in (EndReason.STOP, EndReason.CANCELLED)]
    tokens = [Tokens(1, (Delta(lease, "x"),)) for lease in LEASES]
    others = (message for message in samples.RUNNER_SAMPLES if message != samples.FINISHED)
    return (*others, *ends, *tokens)


class Crossing(RuleBasedStateMachine):
    """Both ends with bytes on their way between them."""

    task = Task.SERVE

    def __init__(self) -> None:
        super().__init__()
        self.links: dict[Side, Link[Any, Any]] = {S: service_link(self.task), R: runner_link(self.task)}
        self.under_way = {S: b"", R: b""}
        self.was_signalled = False

    @initialize(talk=st.sampled_from((samples.LOADED, samples.LOADED, samples.GREETING, ())))
    def begin(self, talk: samples.Conversation) -> None:
        """Most of what can cross comes late; not every example has to find the way there."""
        for side, message in talk if self.task is Task.SERVE else talk[:2]:
            self.links[R if side is S else S].receive(self.links[side].send(message))

    @rule(side=st.sampled_from(Side), data=st.data())
    def say(self, side: Side, data: st.DataObject) -> None:
        """Something legal, so that conversations get somewhere."""
        legal = [message for message in sayings(side) if self.links[side].may_send(message)]
        if legal:
            self.under_way[side] += self.links[side].send(data.draw(st.sampled_from(legal)))

    @rule(side=st.sampled_from(Side), data=st.data())
    def try_to_say(self, side: Side, data: st.DataObject) -> None:
        """Anything; what is illegal changes nothing."""
        message = data.draw(st.sampled_from(sayings(side)))
        link = self.links[side]
        if link.may_send(message):
            self.under_way[side] += link.send(message)
            return
        before = (link.phase, link.open_leases)
        with pytest.raises(LocalWireError):
            link.send(message)
        assert (link.phase, link.open_leases) == before

    @precondition(lambda self: self.links[R].phase is Phase.READY)
    @rule(how=st.sampled_from(("go on", "go on", "go on", "go on", "shutdown", "signal")))
    def stop(self, how: str) -> None:
        """Seldom, because not much happens afterwards."""
        if how == "shutdown" and self.links[S].may_send(Shutdown()):
            self.under_way[S] += self.links[S].send(Shutdown())
        if how == "signal":
            self.was_signalled = True
            self.links[R].stop()

    @rule(side=st.sampled_from(Side), share=st.sampled_from((1.0, 0.5, 0.2)))
    def deliver(self, side: Side, share: float) -> None:
        """Some of the bytes that are under way arrive; never a RemoteWireError."""
        count = round(len(self.under_way[side]) * share)
        self.links[R if side is S else S].receive(self.under_way[side][:count])
        self.under_way[side] = self.under_way[side][count:]

    @invariant()
    def ends_agree_when_nothing_is_under_way(self) -> None:
        if any(self.under_way.values()) or self.was_signalled:
            return
        assert self.links[S].phase is self.links[R].phase
        assert sorted(self.links[S].open_leases) == sorted(self.links[R].open_leases)
        assert self.links[S].is_stopping is self.links[R].is_stopping

    def teardown(self) -> None:
        for side in Side:
            self.deliver(side, 1.0)
        for link in self.links.values():
            link.receive_eof()


class CrossingFacts(Crossing):
    task = Task.FACTS


TestCrossing = Crossing.TestCase
TestCrossing.settings = settings(max_examples=200, stateful_step_count=50, deadline=None)
TestCrossingFacts = CrossingFacts.TestCase
TestCrossingFacts.settings = settings(max_examples=15, stateful_step_count=25, deadline=None)
