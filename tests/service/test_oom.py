"""Whether the kernel killed a process for memory: read from files that a test writes, and once for real."""

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from service.oom import OomWitness
from statemachines.units import MIB


class Kernel:
    """A ``/proc`` and a ``/sys/fs/cgroup`` in a folder."""

    def __init__(self, folder: Path, membership: str, counter: str) -> None:
        self.proc, self.cgroup = folder / "proc", folder / "cgroup"
        self.counter = folder / counter
        self.counter.parent.mkdir(parents=True)
        (self.proc / "self").mkdir(parents=True)
        (self.proc / "self" / "cgroup").write_text(membership)
        self.killed(0)

    def killed(self, count: int) -> None:
        self.counter.write_text(f"oom 7\noom_kill {count}\noom_group_kill 9\n")

    def witness(self) -> OomWitness:
        return OomWitness(self.proc, self.cgroup)


KERNELS = {
    "version 2": ("0::/user/service\n", "cgroup/user/service/memory.events"),
    "version 2 in a container": ("0::/../outside\n", "cgroup/memory.events"),
    "version 1": ("9:name=systemd:/\n4:cpu,memory:/box\n0::/\n", "cgroup/memory/box/memory.oom_control"),
    "version 1 in a container": ("4:memory:/docker/0123\n", "cgroup/memory/memory.oom_control"),
    "no groups": ("", "proc/vmstat"),
}


@pytest.fixture(params=KERNELS)
def kernel(request: pytest.FixtureRequest, tmp_path: Path) -> Kernel:
    return Kernel(tmp_path, *KERNELS[request.param])


def test_a_count_that_grew_is_evidence(kernel: Kernel) -> None:
    kernel.killed(3)
    witness = kernel.witness()
    since = witness.count()
    assert since == 3
    assert not witness.claim(since)
    kernel.killed(4)
    assert witness.claim(since)


def test_each_killing_explains_one_process_only(kernel: Kernel) -> None:
    witness = kernel.witness()
    kernel.killed(2)
    assert [witness.claim(0), witness.claim(0), witness.claim(0)] == [True, True, False]
    kernel.killed(3)
    assert witness.claim(0)


def test_killings_before_a_process_began_are_not_its_own(kernel: Kernel) -> None:
    witness = kernel.witness()
    kernel.killed(5)
    assert not witness.claim(since=5)
    assert witness.claim(since=4)


def test_a_system_that_does_not_count_gives_no_evidence(tmp_path: Path) -> None:
    witness = OomWitness(tmp_path / "proc", tmp_path / "cgroup")
    assert witness.count() == 0
    assert not witness.claim(0)


GROUPS = Path("/sys/fs/cgroup/memory")
CHECKOUT = Path(__file__).parents[2]
SERVICE = """
import os, signal, sys, trio
from pathlib import Path
from service.processes import RunnerProcesses
from tests.fakes.processes import SERVE

async def end_of(program):
    async with RunnerProcesses([sys.executable, "-c", program]).spawn(SERVE) as process:
        return await process.wait()

Path(sys.argv[1], "cgroup.procs").write_text(str(os.getpid()))
greedy = trio.run(end_of, "open('/proc/self/oom_score_adj', 'w').write('1000'); b'x' * (1 << 30)")
killed = trio.run(end_of, "import os; os.kill(os.getpid(), 9)")
print(greedy.status, greedy.was_out_of_memory, killed.status, killed.was_out_of_memory)
"""


@pytest.fixture
def small_group() -> Iterator[Path]:
    """A control group of version 1 below our own, with 128 MiB."""
    own = next((line for line in Path("/proc/self/cgroup").read_text().splitlines() if ":memory:" in line), "::")
    group = GROUPS / own.split(":")[2].lstrip("/") / f"roundhouse-test-{os.getpid()}"
    try:
        group.mkdir()
    except OSError:
        pytest.skip("needs root and memory control groups of version 1")
    (group / "memory.limit_in_bytes").write_text(str(128 * MIB))
    yield group
    group.rmdir()


@pytest.mark.skipif(sys.platform != "linux", reason="control groups are Linux's")
def test_b04_a_runner_that_the_kernel_killed_for_memory_is_told_from_others(small_group: Path) -> None:
    command = [sys.executable, "-c", SERVICE, str(small_group)]
    ended = subprocess.run(command, capture_output=True, text=True, cwd=CHECKOUT, check=True)
    assert ended.stdout.split() == ["-9", "True", "-9", "False"]
