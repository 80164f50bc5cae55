"""What a runner process can reach, looked at from outside while it lives: the one that reads strangers' files.

The same of a runner with an engine: tests/integration/test_security.py.
"""

import os
import sys
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager

import pytest

from service.environment import ALLOWED, FIXED, EnvironmentClass
from service.ports import Process
from service.processes import RunnerProcesses
from statemachines.units import MIB
from statemachines.wire.link import Task
from tests.fakes.runner_talk import Talk
from tests.security.looking import SECRETS, Looked

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="looks at /proc")


@asynccontextmanager
async def reader() -> AsyncIterator[Process]:
    """A process that has greeted, and waits for a file to read."""
    kind = EnvironmentClass(Task.FACTS, 512 * MIB)
    async with RunnerProcesses(environment=SECRETS).spawn(kind) as process:
        await Talk(process, Task.FACTS).greet()
        yield process


async def test_cve_2026_7482_a_reader_of_files_has_no_secrets_that_could_leak() -> None:
    async with reader() as process:
        environment = Looked(process.pid).environment()
    assert environment.keys() <= {*ALLOWED, *FIXED}
    assert not {value for value in environment.values() if "secret" in value}


async def test_shadow_mq_cve_2024_50050_nobody_else_can_reach_its_link() -> None:
    """A pair of sockets without an address: there is nothing to connect to, and no port to find."""
    async with reader() as process:
        looked = Looked(process.pid)
        assert looked.listening() == []
        assert looked.network() == []
        assert set(looked.kinds()) <= {"socket", "pipe", "anon_inode", "/dev/null"}


@pytest.fixture
def open_file() -> Iterator[str]:
    """Something of the service's own, held while a runner is started."""
    with open(__file__, "rb") as file:
        os.set_inheritable(file.fileno(), True)
        yield __file__


async def test_cve_2026_27940_it_leads_a_session_and_holds_nothing_of_the_services(open_file: str) -> None:
    async with reader() as process:
        looked = Looked(process.pid)
        assert looked.leads_its_session()
        assert looked.folder() == "/"
        assert looked.shared_with_parent() == looked.output_pipe()
        assert open_file not in looked.targets()


async def test_cve_2025_0315_it_may_take_only_so_much_memory() -> None:
    async with reader() as process:
        assert Looked(process.pid).address_space_max() == 512 * MIB
