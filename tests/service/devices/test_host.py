"""Host memory: captured texts in, figures out."""

import os
import sys
from pathlib import Path, PurePosixPath

import psutil
import pytest

from service.cgroups import V1, V2, CgroupFiles
from service.devices.host import Figure, HostMemory, from_psutil, parse_cgroup, parse_meminfo, tightest
from statemachines.errors import DeviceError
from statemachines.events import DeviceSample
from statemachines.units import GIB, HOST, KIB, RunnerId

MEMINFO = """\
MemTotal:       24684084 kB
MemFree:        24351924 kB
MemAvailable:   24330468 kB
Buffers:            1660 kB
HugePages_Total:       0
"""

# A desktop under systemd: version 2 only.
CGROUP_V2 = "0::/user.slice/user-1000.slice/session-2.scope\n"
# Docker on an older distribution: version 1, with an empty version 2 beside it.
CGROUP_V1 = """\
12:pids:/docker/4a1b
9:memory:/docker/4a1b
1:name=systemd:/docker/4a1b
0::/system.slice/containerd.service
"""
STAT_V2 = "anon 1000\nfile 5000\ninactive_file 300\nactive_file 200\n"
STAT_V1 = "cache 5000\ninactive_file 100\ntotal_inactive_file 400\n"
UNLIMITED_V1 = "9223372036854771712\n"


def test_meminfo_gives_total_and_available() -> None:
    assert parse_meminfo(MEMINFO) == Figure(24684084 * KIB, 24330468 * KIB, "MemAvailable")


@pytest.mark.parametrize("text", ["", "MemTotal: 5 kB\n", "MemTotal: x kB\nMemAvailable: 5 kB\n", "MemTotal:\n"])
def test_a_meminfo_that_lacks_what_we_need_is_an_error(text: str) -> None:
    with pytest.raises(DeviceError):
        parse_meminfo(text)


@pytest.mark.parametrize(
    ("files", "limit", "usage", "stat", "expected"),
    [
        (V2, "10000\n", "6000\n", STAT_V2, Figure(10000, 4300, "cgroup v2 /box")),
        (V2, "max\n", "6000\n", STAT_V2, None),
        (V2, "10000\n", "6000\n", "", Figure(10000, 4000, "cgroup v2 /box")),
        (V2, "1000\n", "6000\n", STAT_V2, Figure(1000, 0, "cgroup v2 /box")),
        (V1, "10000\n", "6000\n", STAT_V1, Figure(10000, 4400, "cgroup v1 /box")),
        (V1, UNLIMITED_V1, "6000\n", STAT_V1, None),
    ],
)
def test_what_a_cgroup_leaves(files: CgroupFiles, limit: str, usage: str, stat: str, expected: Figure | None) -> None:
    assert parse_cgroup(files, PurePosixPath("box"), limit, usage, stat) == expected


def test_the_smallest_word_counts_for_total_and_for_free_each() -> None:
    machine = Figure(64 * GIB, 2 * GIB, "MemAvailable")
    group = Figure(8 * GIB, 5 * GIB, "cgroup v2 /box")

    assert tightest([machine, group]) == Figure(8 * GIB, 2 * GIB, "MemAvailable")
    assert tightest([group, Figure(64 * GIB, 60 * GIB, "MemAvailable")]) == group


class Machine:
    """A folder that looks like ``/proc`` and ``/sys/fs/cgroup``."""

    def __init__(self, folder: Path) -> None:
        self.proc = folder / "proc"
        self.cgroups = folder / "cgroup"
        self.write(self.proc / "meminfo", MEMINFO)

    def write(self, path: Path, text: str) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)

    def limit_v2(self, level: str, limit: str, usage: str) -> None:
        folder = self.cgroups / level
        self.write(folder / "memory.max", limit)
        self.write(folder / "memory.current", usage)
        self.write(folder / "memory.stat", STAT_V2)

    def sample(self) -> DeviceSample:
        (sample,) = HostMemory(self.proc, self.cgroups).sample({}).samples
        return sample


@pytest.fixture
def machine(tmp_path: Path) -> Machine:
    return Machine(tmp_path)


on_linux = pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")


@on_linux
def test_without_cgroups_the_machine_decides(machine: Machine) -> None:
    assert machine.sample() == DeviceSample(HOST, 24684084 * KIB, 24330468 * KIB, "MemAvailable")


@on_linux
def test_a_limit_above_our_own_cgroup_binds_and_is_named(machine: Machine) -> None:
    machine.write(machine.proc / "self" / "cgroup", "0::/outer/inner\n")
    machine.limit_v2("outer/inner", "max", "10")
    machine.limit_v2("outer", "10000", "6000")

    assert machine.sample() == DeviceSample(HOST, 10000, 4300, "cgroup v2 /outer")


@on_linux
def test_in_a_container_that_sees_its_own_cgroup_as_the_root_the_root_binds(machine: Machine) -> None:
    machine.write(machine.proc / "self" / "cgroup", "0::/system.slice/docker-4a1b.scope\n")
    machine.limit_v2(".", "10000", "6000")

    assert machine.sample().source == "cgroup v2 /"


@on_linux
def test_a_version_1_limit_lies_under_the_memory_controller(machine: Machine) -> None:
    machine.write(machine.proc / "self" / "cgroup", CGROUP_V1)
    folder = machine.cgroups / "memory" / "docker" / "4a1b"
    machine.write(folder / "memory.limit_in_bytes", "10000")
    machine.write(folder / "memory.usage_in_bytes", "6000")
    machine.write(folder / "memory.stat", STAT_V1)

    assert machine.sample() == DeviceSample(HOST, 10000, 4400, "cgroup v1 /docker/4a1b")


@on_linux
def test_a_group_whose_name_is_no_text_is_passed_over_and_those_above_it_count(machine: Machine) -> None:
    (machine.proc / "self").mkdir()
    (machine.proc / "self" / "cgroup").write_bytes(b"0::/outer/\xff\n")
    machine.limit_v2("outer", "10000", "6000")

    assert machine.sample().source == "cgroup v2 /outer"


@on_linux
def test_a_cgroup_that_says_nonsense_limits_nothing(machine: Machine) -> None:
    machine.write(machine.proc / "self" / "cgroup", "0::/box\n")
    machine.limit_v2("box", "a lot", "6000")

    assert machine.sample().source == "MemAvailable"


@on_linux
def test_a_machine_that_does_not_tell_is_a_device_error_without_a_path(tmp_path: Path) -> None:
    with pytest.raises(DeviceError) as caught:
        HostMemory(tmp_path / "nowhere", tmp_path).sample({})

    assert str(tmp_path) not in str(caught.value)


def test_what_a_process_has_for_itself_is_less_than_all_of_it_and_nothing_when_it_is_gone() -> None:
    sampled = HostMemory().sample({RunnerId(3): os.getpid(), RunnerId(4): 2**22 + 1})

    whole = psutil.Process().memory_info().rss
    assert [found.runner for found in sampled.resident] == [3, 4]
    assert 0 < sampled.resident[0].own_bytes < whole
    assert sampled.resident[1].own_bytes == 0


def test_this_machine_tells() -> None:
    (sample,) = HostMemory().sample({}).samples

    assert 0 < sample.free_bytes <= sample.total_bytes


def test_psutil_tells_where_there_is_no_proc() -> None:
    figure = from_psutil()

    assert 0 < figure.free_bytes <= figure.total_bytes
