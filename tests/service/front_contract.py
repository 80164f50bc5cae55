"""What every `service.front.Front` keeps, whoever is behind it: called by the tests of the fake and of the real one.

Each check takes a front that has the model ``demo`` and can answer with it.
"""

import pytest
import trio

from service.front import Front
from statemachines.errors import RefusalCode, RequestRefused
from statemachines.units import LeaseId
from statemachines.wire.messages import ChatMessage, ChatPrompt, Delta, EndReason, Generate, LeaseEnded

HANG_S = 60
"""Ends a check that hangs; nothing is timed with it."""


def question(*, num_predict: int = 8) -> Generate:
    prompt = ChatPrompt((ChatMessage("user", "hi"),))
    return Generate(LeaseId(0), prompt, num_predict=num_predict, with_context=True)


async def check(front: Front) -> None:
    """Every promise, one after the other."""
    with trio.fail_after(HANG_S):
        check_ids(front)
        check_names(front)
        await check_facts(front)
        streamed, collected = await check_stream(front), await check_collect(front)
        assert streamed == collected
        await check_leaving(front)
        await check_lease_without_a_question(front)
        check_stop(front)


def check_ids(front: Front) -> None:
    first, second = front.next_request(), front.next_request()
    assert first != second
    assert front.request_label(first) != front.request_label(second)


def check_names(front: Front) -> None:
    for reference in ("demo", "DEMO:latest", " demo ", "library/demo"):
        assert front.store.find(reference).name == "demo:latest"
    for reference, code in (("no-such-model", RefusalCode.NOT_FOUND), ("a b", RefusalCode.INVALID)):
        with pytest.raises(RequestRefused) as caught:
            front.store.find(reference)
        assert caught.value.code is code
    assert "demo:latest" in [model.name for model in front.store.models()]


async def check_facts(front: Front) -> None:
    facts = await front.store.facts(front.store.find("demo"))
    assert facts.format == "gguf"
    assert "completion" in facts.capabilities


async def check_stream(front: Front) -> str:
    """Deltas, then one end that is its own; the text."""
    async with front.lease(front.next_request(), front.store.find("demo"), num_ctx=None, keep_alive_ns=None) as lease:
        assert lease.load_ns >= 0
        assert lease.loaded.context_tokens > 0
        items = [item async for item in lease.stream(question())]
    ended = items.pop()
    assert isinstance(ended, LeaseEnded)
    assert ended.reason in (EndReason.STOP, EndReason.LENGTH)
    assert (ended.rest, bool(ended.context)) == ("", True)
    assert all(isinstance(item, Delta) for item in items)
    return "".join(item.text for item in items if isinstance(item, Delta))


async def check_collect(front: Front) -> str:
    async with front.lease(front.next_request(), front.store.find("demo"), num_ctx=None, keep_alive_ns=None) as lease:
        answer = await lease.collect(question())
    assert answer.ended.usage.prompt_tokens > 0
    return answer.text


async def check_leaving(front: Front) -> None:
    """A client that leaves in the middle leaves nothing behind: the next one is answered."""
    with trio.CancelScope() as scope:
        async with front.lease(
            front.next_request(), front.store.find("demo"), num_ctx=None, keep_alive_ns=None
        ) as lease:
            async for _ in lease.stream(question(num_predict=-1)):
                scope.cancel()
    assert scope.cancelled_caught
    assert await check_collect(front)


async def check_lease_without_a_question(front: Front) -> None:
    """To have a model loaded, a lease is taken and nothing asked."""
    async with front.lease(front.next_request(), front.store.find("demo"), num_ctx=None, keep_alive_ns=None):
        pass
    assert await check_collect(front)


def check_stop(front: Front) -> None:
    """To stop what is loaded, and again, is fine."""
    front.stop(front.store.find("demo"))
    front.stop(front.store.find("demo"))
    assert front.wall_time_ns(front.snapshot().at) > 0
