"""The table of bad input (`tests.bad_input`): each row has its status and exactly its body, and costs nothing."""

from collections import Counter

import pytest

from service.http.routes import OPERATORS, SERVED
from tests.bad_input import targets
from tests.bad_input.fields import BODIES
from tests.bad_input.rows import GOOD, Row
from tests.bad_input.table import GROUPS
from tests.fakes.front import FakeFront, settings
from tests.service.http.calling import Caller
from tests.service.http.serving import exchange, served


@pytest.mark.parametrize("path", GOOD)
@pytest.mark.parametrize("group", GROUPS)
async def test_every_row_has_its_status_and_exactly_its_sentence(call: Caller, group: str, path: str) -> None:
    wrong = {}
    for row in GROUPS[group]():
        if row.path == path and (found := await _answer(call, row)) != (row.status, row.answer):
            wrong[row.about] = found
    assert wrong == {}
    assert (call.front.leased, call.front.generated, call.front.stopped) == ([], [], [])


async def _answer(call: Caller, row: Row) -> tuple[int, object]:
    reply = await call.post(row.path, row.body)
    return reply.status, reply.json


@pytest.mark.parametrize("path", GOOD)
async def test_the_good_bodies_from_which_rows_are_made_are_answered(call: Caller, path: str) -> None:
    assert (await call.post(path, GOOD[path])).status == 200


def test_every_route_that_takes_a_body_is_in_the_table() -> None:
    with_body = {route.path for route in (*SERVED, *OPERATORS) if "POST" in route.methods}
    assert with_body == GOOD.keys() == BODIES.keys()


@pytest.mark.parametrize("group", GROUPS)
def test_every_row_has_a_name_of_its_own_and_says_nothing_of_this_machine(group: str) -> None:
    rows = list(GROUPS[group]())
    assert rows
    assert [name for name, count in Counter((row.path, row.about) for row in rows).items() if count > 1] == []
    assert [row for row in rows if any(word in row.message for word in ("Traceback", "Errno", "/nowhere"))] == []


LIMIT_BYTES, LIMIT = 1_000, "1000 B"


async def test_bad_targets_methods_and_sizes_are_answered_exactly_so_on_a_socket() -> None:
    front = FakeFront(settings(body_bytes_max=LIMIT_BYTES))
    wrong = {}
    async with served(front) as address:
        for row in [*targets.rows(), *targets.oversized(LIMIT_BYTES, LIMIT)]:
            found = _parts(await exchange(address, row.request))
            if found != (row.status, row.answer):
                wrong[row.about] = found
        status, answer = _parts(await exchange(address, targets.chunks_beyond(LIMIT_BYTES)))
    assert wrong == {}
    assert (status, answer) == (413, f'{{"error":"the request body is larger than {LIMIT}"}}')
    assert (front.leased, front.generated, front.stopped) == ([], [], [])


def _parts(answer: bytes) -> tuple[int, str]:
    head, _, body = answer.partition(b"\r\n\r\n")
    return int(head.split()[1]), body.decode()
