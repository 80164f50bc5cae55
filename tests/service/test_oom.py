"""Whether the kernel killed a process for memory: read from files that a test writes, and once for real."""

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import trio

from service.oom import LOOKS_KEPT, OomWatch, OomWitness, address_space
from service.processes import RunnerProcesses
from statemachines.events import MemoryBound
from statemachines.units import GIB, MIB
from tests.control_groups import ControlGroup, small_group
from tests.fakes.processes import SERVE

PID = 4711


class Kernel:
    """A ``/proc`` and a ``/sys/fs/cgroup`` in a folder, with one process that lives."""

    def __init__(self, folder: Path, membership: str, counter: str) -> None:
        self.proc, self.cgroup = folder / "proc", folder / "cgroup"
        self.counter = folder / counter
        self.write(self.counter, "")
        self.killed(0)
        self.move(membership)

    def write(self, file: Path, text: str) -> None:
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text, "utf-8", "surrogateescape")

    def move(self, membership: str, pid: int = PID) -> None:
        self.write(self.proc / str(pid) / "cgroup", membership)

    def bury(self) -> None:
        (self.proc / str(PID) / "cgroup").unlink()

    def killed(self, count: int) -> None:
        self.counter.write_text(f"oom 7\noom_kill {count}\noom_group_kill 9\n")

    def witness(self) -> OomWitness:
        return OomWitness(self.proc, self.cgroup)


KERNELS = {
    "version 2": ("0::/user/service\n", "cgroup/user/service/memory.events.local"),
    "version 2, older": ("0::/user/service\n", "cgroup/user/service/memory.events"),
    "version 2, counted above": ("0::/user/service\n", "cgroup/user/memory.events"),
    "version 2 in a container": ("0::/../outside\n", "cgroup/memory.events"),
    "version 1": ("9:name=systemd:/\n4:cpu,memory:/box\n0::/\n", "cgroup/memory/box/memory.oom_control"),
    "version 1 in a container": ("4:memory:/docker/0123\n", "cgroup/memory/memory.oom_control"),
    "a name of one's own": ("0::/b\u00fccher/\udcff\n", "cgroup/b\u00fccher/\udcff/memory.events"),
    "no groups": ("", "proc/vmstat"),
}


@pytest.fixture(params=KERNELS)
def kernel(request: pytest.FixtureRequest, tmp_path: Path) -> Kernel:
    return Kernel(tmp_path, *KERNELS[request.param])


def test_a_count_that_grew_is_evidence_also_when_the_process_is_gone(kernel: Kernel) -> None:
    kernel.killed(3)
    watch = kernel.witness().watch(PID)
    assert not watch.was_killed()
    kernel.killed(4)
    kernel.bury()
    watch.look()
    assert watch.was_killed()


def test_each_killing_explains_one_process_only(kernel: Kernel) -> None:
    witness = kernel.witness()
    watches = [witness.watch(PID) for _ in range(3)]
    kernel.killed(2)
    assert [watch.was_killed() for watch in watches] == [True, True, False]
    kernel.killed(3)
    assert watches[2].was_killed()


def test_killings_before_a_process_began_are_not_its_own(kernel: Kernel) -> None:
    witness = kernel.witness()
    earlier = witness.watch(PID)
    kernel.killed(5)
    assert not witness.watch(PID).was_killed()
    assert earlier.was_killed()


def look_on(watch: OomWatch, times: int) -> None:
    for _ in range(times):
        watch.look()


def test_a_killing_of_long_ago_is_not_that_of_a_process_that_lived_on(kernel: Kernel) -> None:
    watch = kernel.witness().watch(PID)
    kernel.killed(1)
    look_on(watch, LOOKS_KEPT)
    assert not watch.was_killed()
    kernel.killed(2)
    assert watch.was_killed()


def test_a_process_that_takes_its_time_to_die_keeps_its_own_killing(kernel: Kernel) -> None:
    watch = kernel.witness().watch(PID)
    look_on(watch, 3 * LOOKS_KEPT)
    kernel.killed(1)
    look_on(watch, LOOKS_KEPT - 1)
    assert watch.was_killed()


def test_a_killing_of_long_ago_in_a_group_that_it_has_left_is_not_its_own(tmp_path: Path) -> None:
    kernel = Kernel(tmp_path, "0::/ours\n", "cgroup/ours/memory.events")
    kernel.write(tmp_path / "cgroup/theirs/memory.events", "oom_kill 7\n")
    watch = kernel.witness().watch(PID)
    kernel.move("0::/theirs\n")
    watch.look()
    kernel.killed(1)
    look_on(watch, LOOKS_KEPT)
    assert not watch.was_killed()


def test_a_count_that_cannot_be_read_for_a_moment_makes_no_killing(tmp_path: Path) -> None:
    kernel = Kernel(tmp_path, "0::/ours\n", "cgroup/ours/memory.events")
    kernel.killed(3)
    watch = kernel.witness().watch(PID)
    kernel.counter.unlink()
    look_on(watch, LOOKS_KEPT)
    kernel.killed(3)
    assert not watch.was_killed()


def test_a_process_that_was_moved_is_looked_for_where_it_went(tmp_path: Path) -> None:
    kernel = Kernel(tmp_path, "0::/ours\n", "cgroup/ours/memory.events")
    other = tmp_path / "cgroup/theirs/memory.events"
    kernel.write(other, "oom_kill 7\n")
    watch = kernel.witness().watch(PID)
    kernel.move("0::/theirs\n")
    watch.look()
    assert not watch.was_killed()
    kernel.bury()
    other.write_text("oom_kill 8\n")
    watch.look()
    assert watch.was_killed()


def test_a_system_that_does_not_count_gives_no_evidence(tmp_path: Path) -> None:
    watch = OomWitness(tmp_path / "proc", tmp_path / "cgroup").watch(PID)
    assert not watch.was_killed()


def bound(kernel: Kernel, pid: int = PID) -> MemoryBound | None:
    return kernel.witness().watch(pid).bound


def test_the_tightest_limit_up_the_tree_binds(tmp_path: Path) -> None:
    kernel = Kernel(tmp_path, "0::/a/b\n", "cgroup/memory.events")
    kernel.write(tmp_path / "cgroup/a/b/memory.max", "max\n")
    assert bound(kernel) is None
    kernel.write(tmp_path / "cgroup/a/memory.max", "4096\n")
    kernel.write(tmp_path / "cgroup/memory.max", "9000\n")
    assert bound(kernel) == MemoryBound(4096, "of its control group")


def test_version_1_says_no_limit_with_a_number_that_no_machine_has(tmp_path: Path) -> None:
    kernel = Kernel(tmp_path, "4:memory:/box\n", "cgroup/memory/box/memory.oom_control")
    limit = tmp_path / "cgroup/memory/box/memory.limit_in_bytes"
    kernel.write(limit, "9223372036854771712\n")
    assert bound(kernel) is None
    kernel.write(limit, "8192\n")
    assert bound(kernel) == MemoryBound(8192, "of its control group")


@pytest.mark.skipif(sys.platform != "linux", reason="limits of another process can be read on Linux only")
def test_a_limit_on_the_address_space_is_seen_from_outside(tmp_path: Path) -> None:
    program = f"import resource; resource.setrlimit(resource.RLIMIT_AS, ({4 * GIB},) * 2); print(); input()"
    command = [sys.executable, "-c", program]
    kernel = Kernel(tmp_path, "", "proc/vmstat")
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        process.stdout.readline()
        kernel.move("0::/\n", process.pid)
        assert bound(kernel, process.pid) == MemoryBound(4 * GIB, "of its address space")
        process.communicate("")
    assert address_space(process.pid) is None


CHECKOUT = Path(__file__).parents[2]
SERVICE = """
import os, signal, sys, trio
from pathlib import Path
from service.processes import RunnerProcesses
from tests.fakes.processes import SERVE

async def end_of(program):
    async with RunnerProcesses([sys.executable, "-c", program]).spawn(SERVE) as process:
        return await process.wait()

Path(sys.argv[1]).write_text(str(os.getpid()))
greedy = trio.run(end_of, "open('/proc/self/oom_score_adj', 'w').write('1000'); b'x' * (1 << 30)")
killed = trio.run(end_of, "import os; os.kill(os.getpid(), 9)")
print(greedy.status, greedy.was_out_of_memory, killed.status, killed.was_out_of_memory)
"""
ONLY_LINUX = pytest.mark.skipif(sys.platform != "linux", reason="control groups are Linux's")


@pytest.fixture
def group() -> Iterator[ControlGroup]:
    with small_group(128 * MIB) as made:
        yield made


@ONLY_LINUX
def test_b04_a_runner_that_the_kernel_killed_for_memory_is_told_from_others(group: ControlGroup) -> None:
    command = [sys.executable, "-c", SERVICE, str(group.procs)]
    ended = subprocess.run(command, capture_output=True, text=True, cwd=CHECKOUT, check=True)
    assert ended.stdout.split() == ["-9", "True", "-9", "False"]


MOVES = """
import os, sys
open(os.environ["TMPDIR"], "w").write(str(os.getpid()))
print("moved", flush=True)
os.read(int(sys.argv[3]), 1)
b"x" * (1 << 30)
"""


@ONLY_LINUX
async def test_b04_so_is_one_that_sits_in_another_group_than_the_service(group: ControlGroup) -> None:
    moved = trio.Event()
    processes = RunnerProcesses([sys.executable, "-c", MOVES], {"TMPDIR": str(group.procs)})
    async with processes.spawn(SERVE, on_line=lambda _line: moved.set()) as process:
        await moved.wait()
        assert process.memory_bound() == MemoryBound(128 * MIB, "of its control group")
        await process.link.send(b"go")
        ended = await process.wait()
    assert (ended.status, ended.was_out_of_memory) == (-9, True)
    assert group.killed
    assert ended.bound == MemoryBound(128 * MIB, "of its control group")
