"""Whether the kernel killed a process for memory, read from files that a test writes."""

from pathlib import Path

import pytest

from service.oom import OomWitness


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
