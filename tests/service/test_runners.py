"""How many loads are under way: what the spare waits for."""

import trio
from trio.testing import MockClock

from statemachines.errors import RequestRefused
from tests.service.shell import Shell, load, running


async def hold(shell: Shell, name: str, until: trio.Event) -> None:
    async with shell.leased(name):
        await until.wait()


async def test_loads_are_counted_from_the_spawn_to_the_end_of_loading(autojump_clock: MockClock) -> None:
    async with running() as shell, trio.open_nursery() as nursery:
        leave = trio.Event()
        for name in ("a", "b"):
            nursery.start_soon(hold, shell, name, leave)
        first, second = await shell.processes.spawned(), await shell.processes.spawned()
        assert shell.loads == [1, 2]
        await load(first)
        second.exit(1)
        await load(await shell.processes.spawned())
        leave.set()
    assert shell.loads == [1, 2, 1, 0, 1, 0]


async def test_a_spawn_that_fails_is_no_load_any_more(autojump_clock: MockClock) -> None:
    async with running() as shell:
        shell.processes.fault = OSError(12, "Cannot allocate memory")
        try:
            async with shell.leased("a"):
                raise AssertionError("it was granted")
        except RequestRefused:
            assert shell.loads[-2:] == [1, 0]
