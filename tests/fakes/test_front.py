"""The scripted front keeps what the real one promises."""

from tests.fakes.front import FakeFront
from tests.service.front_contract import check


async def test_the_fake_keeps_the_contract_of_the_front() -> None:
    front = FakeFront()
    await check(front)
    assert front.open_leases == 0
