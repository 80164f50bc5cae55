"""Any JSON under the names that requests know: an answer, or a refusal with a sentence; never a fault of ours."""

from functools import partial
from typing import Any

import msgspec
import trio
from hypothesis import given, settings
from hypothesis import strategies as st

from service.http.options import BOOLEANS, FLOAT_RANGES, INTEGER_RANGES
from tests.bad_input.fields import BODIES
from tests.bad_input.rows import GOOD
from tests.fakes.front import FakeFront
from tests.service.http.calling import Caller, Reply

EXPECTED = (200, 400, 404, 501)
OPTIONS = [*INTEGER_RANGES, *FLOAT_RANGES, *BOOLEANS, "stop", "nonsense"]
INSIDE = ["role", "content", "type", "text", "effort", "include_usage", "images", "tool_calls", "image_url", "x"]

scalars = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-(10**30), 10**30),
    st.floats(allow_nan=False, allow_infinity=False),
    st.sampled_from(["", "demo", "user", "text", "json", "5m", "-1", "high", "auto", "[INST]", "\0", "\u202e"]),
    st.text(st.characters(exclude_categories=["Cs"]), max_size=12),
)
values = st.recursive(
    scalars,
    lambda inner: st.one_of(
        st.lists(inner, max_size=3),
        st.dictionaries(st.sampled_from([*INSIDE, *OPTIONS]), inner, max_size=4),
    ),
    max_leaves=8,
)


@st.composite
def requests(draw: st.DrawFn) -> tuple[str, dict[str, Any]]:
    """A route, and a good body of it with some fields made into anything, in any case."""
    path = draw(st.sampled_from(sorted(GOOD)))
    body = dict(GOOD[path])
    for name in draw(st.lists(st.sampled_from(BODIES[path].__struct_encode_fields__), max_size=5)):
        changed = st.dictionaries(st.sampled_from(OPTIONS), scalars, max_size=4) if name == "options" else values
        body[draw(st.sampled_from([name, name.upper(), name.title()]))] = draw(changed)
    return path, body


@settings(max_examples=250, deadline=None)
@given(requests())
def test_any_request_is_answered_or_refused_and_never_a_fault_of_ours(request: tuple[str, dict[str, Any]]) -> None:
    front = FakeFront()
    reply: Reply = trio.run(partial(Caller(front).post, *request))
    assert reply.status in EXPECTED, reply.body
    assert b"internal error" not in reply.body
    assert b"Traceback" not in reply.body
    assert front.open_leases == 0
    if reply.status != 200:
        assert set(reply.json) == {"error"}
        assert front.leased == []
    assert all(msgspec.msgpack.encode(orders) for orders in front.generated), "a runner can be told"
